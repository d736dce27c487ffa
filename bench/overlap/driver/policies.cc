#include "policies.h"

#include <utility>
#include <vector>

#include "device/device_instance.h"

namespace overlap {
namespace {

using namespace slipstream;
using namespace slipstream::device;

class Costly final : public Computation {
 public:
  Costly(std::unique_ptr<Stream> stream, Costs costs) : stream_(std::move(stream)), costs_(costs) {}

  Stream& stream() noexcept override { return *stream_; }
  Status enqueue(Slot& slot) noexcept override {
    const Result<void*> out = slot.place_output(0, slot.inputs().front().shape);
    if (!out.is_ok()) return out.status();
    const Nanoseconds takes_ns = costs_.base_ns + costs_.per_row_ns * slot.rows();
    return SimulatedDevice::launch(*stream_, takes_ns, [] {});
  }
  void tear_down() noexcept override { stream_.reset(); }
  Status build() noexcept override { return internal_error("the device is never lost"); }

 private:
  std::unique_ptr<Stream> stream_;
  Costs costs_;
};

// An instance that tells what lets the executor decide as the policy has it: a computation of next
// to nothing makes it overlap whatever waits, an unknown one only what fills a batch.
class Telling final : public PipelinedInstance {
 public:
  Telling(std::unique_ptr<Instance> inner, Nanoseconds told_ns)
      : inner_(std::move(inner)), pipelined_(*inner_->pipelined()), told_ns_(told_ns) {}

  Status execute(const Execution& execution, std::vector<Tensor>& outputs) noexcept override {
    return pipelined_.execute(execution, outputs);
  }
  std::size_t depth() const noexcept override { return pipelined_.depth(); }
  void expect_rows(std::int64_t rows) noexcept override { pipelined_.expect_rows(rows); }
  void begin(const Launch& launch) noexcept override { pipelined_.begin(launch); }
  bool poll(Status& status, std::vector<Tensor>& outputs) noexcept override {
    return pipelined_.poll(status, outputs);
  }
  Nanoseconds computed_ns() const noexcept override { return told_ns_; }

 private:
  std::unique_ptr<Instance> inner_;
  PipelinedInstance& pipelined_;
  Nanoseconds told_ns_;
};

class CostlyModel final : public Model {
 public:
  CostlyModel(std::shared_ptr<SimulatedDevice> device, Costs costs, Policy policy)
      : device_(std::move(device)), costs_(costs), policy_(policy) {
    spec_.inputs = {{.name = "x", .dtype = DType::kFloat32, .dims = {-1, 16}}};
    spec_.outputs = {{.name = "y", .dtype = DType::kFloat32, .dims = {-1, 16}}};
    spec_.batchable = true;
  }
  const ModelSpec& spec() const noexcept override { return spec_; }
  Result<std::unique_ptr<Instance>> create_instance() noexcept override {
    Result<std::unique_ptr<Stream>> stream = device_->create_stream();
    if (!stream.is_ok()) return stream.status();
    auto made = DeviceInstance::create(
        device_, std::make_unique<Costly>(std::move(stream).value(), costs_), spec_,
        {.slots = policy_ == Policy::kOneAtATime ? std::size_t{1} : std::size_t{3}});
    if (!made.is_ok() || policy_ == Policy::kLearned || policy_ == Policy::kOneAtATime) {
      return made;
    }
    const Nanoseconds told_ns = policy_ == Policy::kEager ? 1 : 0;
    return std::unique_ptr<Instance>(std::make_unique<Telling>(std::move(made).value(), told_ns));
  }

 private:
  ModelSpec spec_;
  std::shared_ptr<SimulatedDevice> device_;
  Costs costs_;
  Policy policy_;
};

}  // namespace

std::unique_ptr<Model> make_model(std::shared_ptr<SimulatedDevice> device, Costs costs,
                                  Policy policy) {
  return std::make_unique<CostlyModel>(std::move(device), costs, policy);
}

}  // namespace overlap
