// ContextStream: the stream of an instance, and the execution contexts that put work on it.
//
// What is recorded of an execution context relies on the state that this had: the next shape
// changes it under the graph. NVIDIA asks for one execution context a graph (NVIDIA/TensorRT issue
// 3798). So a context that was recorded leaves with its graph, for good in the shapes that it has,
// and another one is there for whatever comes. What has to happen once in those shapes before
// anything is recorded has happened: GraphedComputation records behind an execution.
// One that is not recorded may have several executions on the stream at once: addresses and shapes
// are those at the time of the call. So one is enough for all slots of an instance.
//
// All contexts have one block of memory for their intermediate results: it is used by one after the
// other, on one stream. A context more costs what TensorRT keeps beside that.
//
// Threads: as a Stream. Ownership: shares the device and the engine, as each of its graphs does,
// which is given up only when what its context has put on the stream has ended.
// Failure: as a Stream; nothing is recorded where no context can be made for what comes after.
#pragma once

#include <NvInferRuntime.h>

#include <memory>
#include <string>

#include "backends/tensorrt/engine.h"
#include "device/device.h"

namespace slipstream::tensorrt {

class ContextStream final : public device::Stream {
 public:
  // kResourceExhausted where the device has not memory for it. `file` names the plan in messages.
  // Throws std::bad_alloc. With the device entered, as to destroy it.
  [[nodiscard]] static Result<std::unique_ptr<ContextStream>> create(
      std::shared_ptr<device::Device> device, std::shared_ptr<Engine> engine, int profile,
      std::string file);
  ~ContextStream() override;
  ContextStream(const ContextStream&) = delete;
  ContextStream& operator=(const ContextStream&) = delete;

  // For the execution that is put on the stream next.
  [[nodiscard]] nvinfer1::IExecutionContext& context() noexcept { return *current_; }
  // The execution was refused: if it was to be recorded, nothing was.
  void refuse() noexcept { is_refused_ = true; }

  [[nodiscard]] Status copy_to_device(void* to, const void* from,
                                      std::size_t bytes) noexcept override {
    return inner_->copy_to_device(to, from, bytes);
  }
  [[nodiscard]] Status copy_to_host(void* to, const void* from,
                                    std::size_t bytes) noexcept override {
    return inner_->copy_to_host(to, from, bytes);
  }
  [[nodiscard]] Status record(device::Event& event) noexcept override {
    return inner_->record(event);
  }
  [[nodiscard]] Status wait(device::Event& event) noexcept override { return inner_->wait(event); }
  [[nodiscard]] Status call(void (*function)(void*) noexcept, void* context) noexcept override {
    return inner_->call(function, context);
  }
  [[nodiscard]] Status begin_capture() noexcept override;
  [[nodiscard]] Result<std::unique_ptr<device::Graph>> end_capture() noexcept override;
  [[nodiscard]] Status launch(device::Graph& graph) noexcept override;
  [[nodiscard]] void* native() noexcept override { return inner_->native(); }

 private:
  using Context = std::unique_ptr<nvinfer1::IExecutionContext>;

  ContextStream(std::shared_ptr<device::Device> device, std::shared_ptr<Engine> engine, int profile,
                std::string file);
  // Both throw std::bad_alloc.
  [[nodiscard]] Status allocate();
  [[nodiscard]] Result<Context> make();
  [[nodiscard]] Status no_memory(const std::string& told) const;

  const std::shared_ptr<device::Device> device_;
  const std::shared_ptr<Engine> engine_;
  const int profile_;
  const std::string file_;
  std::unique_ptr<device::Stream> inner_;
  std::unique_ptr<device::Block> memory_;  // null: the plan needs none
  Context current_;
  Context next_;  // when the current one leaves; made before anything is recorded
  bool is_refused_ = false;
};

}  // namespace slipstream::tensorrt
