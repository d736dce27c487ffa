#include "backends/tensorrt/context_stream.h"

#include <cstdint>
#include <new>
#include <utility>

#include "backends/tensorrt/refusal.h"
#include "backends/tensorrt/told.h"

namespace slipstream::tensorrt {
namespace {

class RecordedGraph final : public device::Graph {
 public:
  RecordedGraph(std::shared_ptr<device::Device> device, std::shared_ptr<Engine> engine) noexcept
      : device_(std::move(device)), engine_(std::move(engine)) {}
  RecordedGraph(const RecordedGraph&) = delete;
  RecordedGraph& operator=(const RecordedGraph&) = delete;
  ~RecordedGraph() override {
    const device::Entered entered(*device_);
    graph_.reset();
    context_.reset();
    engine_.reset();  // after the context that is of it
  }

  void hold(std::unique_ptr<device::Graph> graph,
            std::unique_ptr<nvinfer1::IExecutionContext> context) noexcept {
    graph_ = std::move(graph);
    context_ = std::move(context);
  }
  [[nodiscard]] device::Graph& graph() const noexcept { return *graph_; }

 private:
  const std::shared_ptr<device::Device> device_;
  std::shared_ptr<Engine> engine_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  std::unique_ptr<device::Graph> graph_;
};

}  // namespace

ContextStream::ContextStream(std::shared_ptr<device::Device> device, std::shared_ptr<Engine> engine,
                             int profile, std::string file)
    : device_(std::move(device)),
      engine_(std::move(engine)),
      profile_(profile),
      file_(std::move(file)) {}

ContextStream::~ContextStream() = default;  // contexts, then their memory, the stream, the engine

Result<std::unique_ptr<ContextStream>> ContextStream::create(std::shared_ptr<device::Device> device,
                                                             std::shared_ptr<Engine> engine,
                                                             int profile, std::string file) {
  std::unique_ptr<ContextStream> made(
      new ContextStream(std::move(device), std::move(engine), profile, std::move(file)));
  Result<std::unique_ptr<device::Stream>> inner = made->device_->create_stream();
  if (!inner.is_ok()) return inner.status();
  made->inner_ = std::move(inner).value();
  if (Status status = made->allocate(); !status.is_ok()) return status;
  Result<Context> first = made->make();
  if (!first.is_ok()) return first.status();
  made->current_ = std::move(first).value();
  return made;
}

Status ContextStream::allocate() {
  const std::int64_t bytes = engine_->get().getDeviceMemorySizeForProfileV2(profile_);
  if (bytes <= 0) return Status::ok();
  Result<std::unique_ptr<device::Block>> block = device_->allocate(static_cast<std::size_t>(bytes));
  if (!block.is_ok()) {
    return block.status().code() == StatusCode::kResourceExhausted ? no_memory({}) : block.status();
  }
  memory_ = std::move(block).value();
  return Status::ok();
}

Status ContextStream::no_memory(const std::string& told) const {
  const std::int64_t bytes = engine_->get().getDeviceMemorySizeForProfileV2(profile_);
  return resource_exhausted("tensorrt backend: " + file_ +
                            ": no execution context can be made, as a rule for want of memory on " +
                            device_->name() + " (" + std::to_string(bytes >> 20U) +
                            " MiB an instance): use fewer instances, or unload another model" +
                            in_its_words(told));
}

Result<ContextStream::Context> ContextStream::make() {
  const Told told;
  Context made(engine_->get().createExecutionContext(
      nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED));
  if (made == nullptr) return no_memory(told.text());
  if (memory_ != nullptr) {
    made->setDeviceMemoryV2(memory_->address(), static_cast<std::int64_t>(memory_->bytes()));
  }
  // A new context has the first profile. What this puts on the stream comes before all executions.
  if (profile_ == 0 ||
      made->setOptimizationProfileAsync(profile_, static_cast<cudaStream_t>(inner_->native()))) {
    return made;
  }
  return refused(file_, "its optimization profile cannot be set", told.text());
}

Status ContextStream::begin_capture() noexcept {
  try {
    if (next_ == nullptr) {
      Result<Context> made = make();
      if (!made.is_ok()) return made.status();
      next_ = std::move(made).value();
    }
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  }
  is_refused_ = false;
  return inner_->begin_capture();
}

Result<std::unique_ptr<device::Graph>> ContextStream::end_capture() noexcept {
  Result<std::unique_ptr<device::Graph>> recorded = inner_->end_capture();
  if (!recorded.is_ok()) return recorded.status();
  try {
    // The context stays then: what it has put on the stream is not done yet.
    if (is_refused_)
      return internal_error("TensorRT refused the execution that was to be recorded");
    auto graph = std::make_unique<RecordedGraph>(device_, engine_);
    graph->hold(std::move(recorded).value(), std::exchange(current_, std::move(next_)));
    return std::unique_ptr<device::Graph>(std::move(graph));
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  }
}

Status ContextStream::launch(device::Graph& graph) noexcept {
  auto* const known = dynamic_cast<RecordedGraph*>(&graph);
  if (known == nullptr) return invalid_argument("the graph was not recorded by a plan");
  return inner_->launch(known->graph());
}

}  // namespace slipstream::tensorrt
