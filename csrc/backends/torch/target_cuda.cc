#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <optional>
#include <utility>

#include "backends/torch/failures.h"
#include "backends/torch/graph_memory.h"
#include "backends/torch/target.h"
#include "cuda/cuda_device.h"

namespace slipstream::libtorch {
namespace {

constexpr const char* kRecording = "torch backend: the model cannot be recorded as a graph";

class TorchGraph final : public device::Graph {
 public:
  TorchGraph(std::shared_ptr<GraphMemory> memory, std::unique_ptr<at::cuda::CUDAGraph> graph)
      : memory_(std::move(memory)), graph_(std::move(graph)) {}

  void replay() { graph_->replay(); }

 private:
  std::shared_ptr<GraphMemory> memory_;  // outlives the graph
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
};

// A stream of csrc/cuda, known to libtorch as an external one.
class CudaComputeStream final : public ComputeStream {
 public:
  CudaComputeStream(std::unique_ptr<device::Stream> stream, c10::DeviceIndex ordinal)
      : inner_(std::move(stream)),
        torchs_(c10::cuda::getStreamFromExternal(static_cast<cudaStream_t>(inner_->native()),
                                                 ordinal)) {}

  void use() override { guard_.emplace(torchs_); }
  void leave() noexcept override { guard_.reset(); }

  Status copy_to_device(void* to, const void* from, std::size_t bytes) noexcept override {
    return inner_->copy_to_device(to, from, bytes);
  }
  Status copy_to_host(void* to, const void* from, std::size_t bytes) noexcept override {
    return inner_->copy_to_host(to, from, bytes);
  }
  Status record(device::Event& event) noexcept override { return inner_->record(event); }
  Status wait(device::Event& event) noexcept override { return inner_->wait(event); }
  Status call(void (*function)(void*) noexcept, void* context) noexcept override {
    return inner_->call(function, context);
  }
  void* native() noexcept override { return inner_->native(); }

  // Only what this thread does is held to the rules of recording, as csrc/cuda has it.
  Status begin_capture() noexcept override {
    std::unique_ptr<at::cuda::CUDAGraph> graph;
    Status status = guarded(kRecording, [&] {
      const c10::cuda::CUDAStreamGuard here(torchs_);
      if (memory_ == nullptr) memory_ = std::make_shared<GraphMemory>(torchs_.device_index());
      memory_->remember_users();
      graph = std::make_unique<at::cuda::CUDAGraph>();
      graph->capture_begin(memory_->id(), cudaStreamCaptureModeThreadLocal);
      return Status::ok();
    });
    if (status.is_ok()) {
      recorded_ = std::move(graph);
    } else if (graph != nullptr) {
      // In case that it threw after the stream had begun: else this is refused, and that is all.
      static_cast<void>(inner_->end_capture());
      memory_->undo(std::move(graph));
    }
    return status;
  }
  Result<std::unique_ptr<device::Graph>> end_capture() noexcept override {
    std::unique_ptr<at::cuda::CUDAGraph> graph = std::move(recorded_);
    auto ended = guarded(kRecording, [&]() -> Result<std::unique_ptr<device::Graph>> {
      if (graph == nullptr) return failed_precondition("torch backend: nothing is recorded");
      const c10::cuda::CUDAStreamGuard here(torchs_);
      graph->capture_end();
      return std::unique_ptr<device::Graph>(
          std::make_unique<TorchGraph>(memory_, std::move(graph)));
    });
    if (!ended.is_ok() && graph != nullptr) memory_->undo(std::move(graph));
    return ended;
  }
  Status launch(device::Graph& graph) noexcept override {
    return guarded("torch backend: the recorded model cannot be launched", [&] {
      const c10::cuda::CUDAStreamGuard here(torchs_);
      dynamic_cast<TorchGraph&>(graph).replay();
      return Status::ok();
    });
  }

 private:
  std::unique_ptr<device::Stream> inner_;
  c10::cuda::CUDAStream torchs_;
  std::optional<c10::cuda::CUDAStreamGuard> guard_;
  std::shared_ptr<GraphMemory> memory_;            // from the first recording on
  std::unique_ptr<at::cuda::CUDAGraph> recorded_;  // while it is recorded
};

}  // namespace

Result<TorchTarget> open_target(int ordinal) {
  Result<std::shared_ptr<cuda::CudaDevice>> device = cuda::CudaDevice::open(ordinal);
  if (!device.is_ok()) {
    return Status(device.status().code(), "torch backend: " + device.status().message());
  }
  const auto index = static_cast<c10::DeviceIndex>(ordinal);
  return TorchTarget{.device = std::move(device).value(), .place = {c10::kCUDA, index}};
}

void give_back_unused() noexcept {
  // Refused while something is recorded, and where a device is lost: then nothing is given back.
  static_cast<void>(guarded("torch backend: no memory can be given back", [] {
    c10::cuda::CUDACachingAllocator::emptyCache();
    return Status::ok();
  }));
}

Result<std::unique_ptr<ComputeStream>> make_stream(const TorchTarget& target) {
  Result<std::unique_ptr<device::Stream>> stream = target.device->create_stream();
  if (!stream.is_ok()) return stream.status();
  return std::unique_ptr<ComputeStream>(
      std::make_unique<CudaComputeStream>(std::move(stream).value(), target.place.index()));
}

}  // namespace slipstream::libtorch
