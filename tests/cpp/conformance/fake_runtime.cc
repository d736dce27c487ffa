// Libraries that claim to be ONNX Runtime and are not, one per FAKE_RUNTIME_* definition. The onnx
// backend must refuse each without calling into it blindly.
#include <array>
#include <cstdint>
#include <cstring>

namespace {

constexpr std::size_t kSlots = 512;

#if defined(FAKE_RUNTIME_DEAF)
// The right shape, but no function does anything.
void* do_nothing() {
  return nullptr;
}
#endif

const void* get_api(std::uint32_t) {
  static std::array<void*, kSlots> table{};
#if defined(FAKE_RUNTIME_OLD)
  return nullptr;
#elif defined(FAKE_RUNTIME_FOREIGN)
  table.fill(reinterpret_cast<void*>(&std::strerror));  // somebody else's function
#elif defined(FAKE_RUNTIME_DEAF)
  table.fill(reinterpret_cast<void*>(&do_nothing));
#endif
  return table.data();
}

const char* get_version() {
#if defined(FAKE_RUNTIME_OLD)
  return "1.10.0";
#else
  return "1.31.1";
#endif
}

struct Base {
  const void* (*get_api)(std::uint32_t);
  const char* (*get_version)();
};

constexpr Base kBase{&get_api, &get_version};

}  // namespace

#if defined(FAKE_RUNTIME_NONE)
#define FAKE_ENTRY SomeOtherLibrary
#else
#define FAKE_ENTRY OrtGetApiBase
#endif

extern "C" __attribute__((visibility("default"))) const void* FAKE_ENTRY() {
  return &kBase;
}
