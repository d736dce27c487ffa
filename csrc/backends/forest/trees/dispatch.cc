#include <cstring>

#include "backends/forest/trees/kernels.h"

namespace slipstream::forest {

#if defined(SLIPSTREAM_FOREST_X86)
namespace avx512 {
const Kernels& kernels() noexcept;
}
namespace avx2 {
const Kernels& kernels() noexcept;
}
#endif
namespace portable {
const Kernels& kernels() noexcept;
}

namespace {

bool asked_for(const char* wanted, const char* name) noexcept {
  return *wanted == '\0' || std::strcmp(wanted, name) == 0;
}

}  // namespace

const Kernels* find_kernels(const char* name) noexcept {
#if defined(SLIPSTREAM_FOREST_X86)
  __builtin_cpu_init();
  const bool has_avx512 =
      __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
      __builtin_cpu_supports("avx512vbmi") != 0 && __builtin_cpu_supports("avx512bitalg") != 0;
  const bool has_avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi") != 0 &&
                        __builtin_cpu_supports("bmi2") != 0 &&
                        __builtin_cpu_supports("popcnt") != 0;
  if (has_avx512 && has_avx2 && asked_for(name, "avx512")) return &avx512::kernels();
  if (has_avx2 && asked_for(name, "avx2")) return &avx2::kernels();
#endif
  if (asked_for(name, "portable")) return &portable::kernels();
  return nullptr;
}

}  // namespace slipstream::forest
