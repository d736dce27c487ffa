#include "cuda/context.h"

#include <array>
#include <cassert>
#include <cstddef>
#include <string>
#include <utility>

namespace slipstream::cuda {
namespace {

constexpr std::string_view kRestart =
    "; restart the process (a supervisor that watches its health check does)";

// Which of the calling thread's enters, innermost last, have pushed a context: where a push failed,
// leaving must not pop what was there before.
class Pushes {
 public:
  void add(bool has_pushed) noexcept {
    assert(depth_ < 64 && "devices are entered far too deeply");
    bits_ = bits_ << 1U | (has_pushed ? 1U : 0U);
    ++depth_;
  }
  bool take() noexcept {
    assert(depth_ > 0 && "a device was left that was not entered");
    const bool has_pushed = (bits_ & 1U) != 0;
    bits_ >>= 1U;
    --depth_;
    return has_pushed;
  }

 private:
  std::uint64_t bits_ = 0;
  int depth_ = 0;
};

thread_local Pushes pushes;

}  // namespace

Result<std::shared_ptr<Context>> Context::retain(const Driver& driver, CUdevice device,
                                                 std::string label) {
  CUcontext handle = nullptr;
  const CUresult result = driver.call.primary_ctx_retain(&handle, device);
  if (result != CUDA_SUCCESS) {
    return cuda_status(driver, result, label + " cannot be opened: cuDevicePrimaryCtxRetain");
  }
  return std::make_shared<Context>(driver, device, handle, std::move(label));
}

Context::~Context() {
  // Also of a lost one. A driver that is shutting down refuses, and needs it no more.
  if (is_retained_) static_cast<void>(call().primary_ctx_release(device_));
}

void Context::enter() noexcept {
  entered_.fetch_add(1);
  const CUresult result = call().ctx_push_current(handle_.load());
  pushes.add(result == CUDA_SUCCESS);
  // Whoever entered learns of a loss from the next call; anything else would be a stranger to it.
  if (result != CUDA_SUCCESS) static_cast<void>(failed(result, "cuCtxPushCurrent"));
}

void Context::leave() noexcept {
  CUcontext popped = nullptr;
  if (pushes.take()) static_cast<void>(call().ctx_pop_current(&popped));
  entered_.fetch_sub(1);
}

Status Context::loss() const noexcept {
  const std::scoped_lock lock(mutex_);
  return lost_;
}

Status Context::failed(CUresult result, std::string_view what) noexcept {
  Status status = cuda_status(driver_, result, label_ + ": " + std::string(what));
  if (!loses_the_device(result)) return status;
  lose(result, status.message());
  return loss();
}

void Context::lose(CUresult result, const std::string& why) noexcept {
  const std::scoped_lock lock(mutex_);
  if (is_gone(result)) is_gone_.store(true);
  if (!lost_.is_ok()) return;  // the first cause is the one that helps
  lost_ = unavailable("the device is lost: " + why + std::string(kRestart));
  // Pairs with the load in usable().
  is_lost_.store(true, std::memory_order_release);
}

Status Context::must_restart(const std::string& why) const {
  return unavailable(label_ + " stays lost: " + why + std::string(kRestart));
}

// Releases our share of the context, so that it is destroyed where that was the last one. Whether
// it was is what the state says; the release itself may answer with the error that broke the
// context.
CUresult Context::give_back(bool& others_hold_it) noexcept {
  unsigned int flags = 0;
  int is_active = 0;
  if (is_retained_) static_cast<void>(call().primary_ctx_release(device_));
  is_retained_ = false;
  const CUresult result = call().primary_ctx_get_state(device_, &flags, &is_active);
  others_hold_it = is_active != 0;
  return result;
}

// Retains the context, new or not, and enters it.
CUresult Context::take_again() noexcept {
  CUcontext handle = nullptr;
  CUresult result = call().primary_ctx_retain(&handle, device_);
  is_retained_ = result == CUDA_SUCCESS;
  if (is_retained_) {
    handle_.store(handle);
    result = call().ctx_push_current(handle);
  }
  pushes.add(result == CUDA_SUCCESS);
  return result;
}

// A copy there and back. The calling thread is in the context.
CUresult Context::try_out() const noexcept {
  std::array<unsigned char, 64> sent{};
  std::array<unsigned char, 64> got{};
  sent.fill(0xA5);
  CUdeviceptr block = 0;
  CUstream stream = nullptr;
  CUresult result = call().mem_alloc(&block, sent.size());
  if (result != CUDA_SUCCESS) return result;
  result = call().stream_create(&stream, CU_STREAM_NON_BLOCKING);
  if (result == CUDA_SUCCESS) {
    result = call().memcpy_to_device(block, sent.data(), sent.size(), stream);
    if (result == CUDA_SUCCESS) {
      result = call().memcpy_to_host(got.data(), block, got.size(), stream);
    }
    // In any case: nothing may be copied to or from here after this.
    const CUresult done = call().ctx_synchronize();
    if (result == CUDA_SUCCESS) result = done;
    if (result == CUDA_SUCCESS && got != sent) result = CUDA_ERROR_UNKNOWN;
    static_cast<void>(call().stream_destroy(stream));
  }
  static_cast<void>(call().mem_free(block));
  return result;
}

Status Context::recover() noexcept {
  const std::scoped_lock recovering(recovering_);
  if (!is_lost_.load(std::memory_order_acquire)) return Status::ok();
  if (shares_.load() != 0 || entered_.load() != 1) {
    return unavailable(label_ + " cannot be recovered yet: " + std::to_string(shares_.load()) +
                       " streams, events and blocks of before are to be destroyed, and " +
                       std::to_string(entered_.load() - 1) + " others to leave it, first");
  }
  CUcontext popped = nullptr;
  if (pushes.take()) static_cast<void>(call().ctx_pop_current(&popped));
  bool others_hold_it = false;
  const CUresult released = give_back(others_hold_it);
  // Whatever that said: leave() and the destructor undo it.
  CUresult result = take_again();
  if (released != CUDA_SUCCESS) return must_restart(cuda_error_text(driver_, released));
  if (others_hold_it) return must_restart("other libraries hold its context, which is broken");
  if (result == CUDA_SUCCESS) result = try_out();
  if (result != CUDA_SUCCESS) return must_restart(cuda_error_text(driver_, result));
  const std::scoped_lock lock(mutex_);
  lost_ = Status();
  is_gone_.store(false);
  // Pairs with the load in usable().
  is_lost_.store(false, std::memory_order_release);
  return Status::ok();
}

}  // namespace slipstream::cuda
