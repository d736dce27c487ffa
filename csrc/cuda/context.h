// The primary context of one device, and whether it is lost: what the device, its streams, events
// and blocks share.
//
// Threads: any; enter() and leave() are about the calling one. Ownership: shared by all that is
// made in it; it is given back when the last of them goes. Failure: check() turns the driver's
// results into statuses and remembers a loss, which usable() then tells.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "core/status.h"
#include "cuda/cuda_status.h"
#include "cuda/driver.h"

namespace slipstream::cuda {

class Context {
 public:
  // Retains it; makes it where it is not there yet. `label` is what messages call the device.
  [[nodiscard]] static Result<std::shared_ptr<Context>> retain(const Driver& driver,
                                                               CUdevice device, std::string label);
  // With retain(), which is the one to call.
  Context(const Driver& driver, CUdevice device, CUcontext handle, std::string label) noexcept
      : driver_(driver), device_(device), handle_(handle), label_(std::move(label)) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context();

  [[nodiscard]] const Functions& call() const noexcept { return driver_.call; }

  // Ok, or why it was lost.
  [[nodiscard]] Status usable() const noexcept {
    // Pairs with the store in lose(): whoever sees it sees the cause.
    if (!is_lost_.load(std::memory_order_acquire)) [[likely]]
      return Status::ok();
    return loss();
  }
  // The status of what the driver answered to `what`.
  [[nodiscard]] Status check(CUresult result, std::string_view what) noexcept {
    if (result == CUDA_SUCCESS) [[likely]]
      return Status::ok();
    return failed(result, what);
  }

  void enter() noexcept;
  void leave() noexcept;
  // Runs `destroy` in the context, and does not care how it ends: on a lost device, or when the
  // process ends, it may fail. Not at all where the context is gone, with all that was in it.
  template <class Destroy>
  void destroy(const Destroy& destroy) noexcept {
    if (is_gone_.load()) return;
    enter();
    static_cast<void>(destroy());
    leave();
  }

  // See CudaDevice::recover(). The calling thread has entered, once.
  [[nodiscard]] Status recover() noexcept;

 private:
  friend class Share;

  [[nodiscard]] Status loss() const noexcept;
  [[nodiscard]] Status failed(CUresult result, std::string_view what) noexcept;
  void lose(CUresult result, const std::string& why) noexcept;
  // All of the following with `recovering_`.
  [[nodiscard]] Status must_restart(const std::string& why) const;
  [[nodiscard]] CUresult give_back(bool& others_hold_it) noexcept;
  [[nodiscard]] CUresult take_again() noexcept;
  [[nodiscard]] CUresult try_out() const noexcept;

  const Driver& driver_;
  const CUdevice device_;
  std::atomic<CUcontext> handle_;  // changed by recover() alone
  const std::string label_;
  std::atomic<bool> is_lost_{false};
  std::atomic<bool> is_gone_{false};
  std::atomic<std::int64_t> shares_{0};   // streams, events, graphs and blocks
  std::atomic<std::int64_t> entered_{0};  // times that threads have entered and not left
  std::mutex recovering_;                 // held while the driver takes its time
  bool is_retained_ = true;               // with it; no longer, where it could not be made anew
  mutable std::mutex mutex_;  // never held while the driver is asked: whoever asks for health waits
  Status lost_;               // with the mutex
};

// What a stream, an event, a graph or a block has of the context. It counts them.
class Share {
 public:
  explicit Share(std::shared_ptr<Context> context) noexcept : context_(std::move(context)) {
    context_->shares_.fetch_add(1);
  }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;
  ~Share() { context_->shares_.fetch_sub(1); }

  Context& operator*() const noexcept { return *context_; }
  Context* operator->() const noexcept { return context_.get(); }
  [[nodiscard]] const std::shared_ptr<Context>& shared() const noexcept { return context_; }

 private:
  std::shared_ptr<Context> context_;
};

// The context is the thread's current one for as long as this lives.
class InContext {
 public:
  explicit InContext(Context& context) noexcept : context_(context) { context_.enter(); }
  InContext(const InContext&) = delete;
  InContext& operator=(const InContext&) = delete;
  ~InContext() { context_.leave(); }

 private:
  Context& context_;
};

}  // namespace slipstream::cuda
