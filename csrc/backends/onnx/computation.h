// OnnxComputation: a session on a device, which computes from memory of a slot to memory of a slot.
//
// Inputs and outputs are bound where they lie (IoBinding), and a run returns while the device still
// computes: the session was given the stream, and is told not to wait for it. (Providers that take
// no stream get their inputs from the host, and a run waits for its end.) Inputs that operators
// read on the host (a shape to be made, a condition) are bound there, in the slot's page-locked
// memory: what lies on a device ONNX Runtime copies to the host when it is bound, and not again for
// the next batch. Outputs of which the shape follows from the number of rows are written straight
// into the slot; for others ONNX Runtime allocates, and the slot keeps what it allocated until it
// has been copied out.
//
// Threads, failure: as a Computation. Ownership: shares the device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/onnx/gpu_target.h"
#include "backends/onnx/options.h"
#include "backends/onnx/ort_runtime.h"
#include "backends/onnx/ort_status.h"
#include "core/backend.h"
#include "device/pipeline.h"
#include "device/places.h"

namespace slipstream::onnx {

class OnnxComputation final : public device::Computation {
 public:
  // To be built before it is used. `spec` where it is known already: of an empty one the session
  // tells, once it is built.
  OnnxComputation(const Runtime& runtime, const OnnxOptions& options, std::string path,
                  GpuTarget target, device::Place place, ModelSpec spec);
  ~OnnxComputation() override;

  [[nodiscard]] const std::shared_ptr<device::Device>& device() const noexcept {
    return target_.device;
  }
  [[nodiscard]] const ModelSpec& spec() const noexcept { return spec_; }
  [[nodiscard]] device::Stream& stream() noexcept override { return *stream_; }
  [[nodiscard]] Status enqueue(device::Slot& slot) noexcept override;
  [[nodiscard]] bool reads_on_host(std::size_t input) const noexcept override {
    return input < input_places_.size() && input_places_[input].is_on_host;
  }
  void tear_down() noexcept override;
  [[nodiscard]] Status build() noexcept override;

 private:
  // How the tensors of a slot were bound last.
  struct Bound {
    explicit Bound(Owned<OrtIoBinding> made) : binding(std::move(made)) {}

    Owned<OrtIoBinding> binding;
    std::uint64_t moves = ~std::uint64_t{0};
    std::uint64_t outputs_wanted = 0;
    std::vector<Shape> inputs;
    std::vector<void*> outputs;  // where those are that are fixed
  };
  // Where an input is bound: memory of the session's, which then copies nothing, or the host's.
  struct InputPlace {
    const OrtMemoryInfo* memory;
    bool is_on_host;
  };
  // What is bound: everything, or only what is not the same in every run.
  enum class What : bool { kAll, kChanging };

  // All may throw std::bad_alloc.
  [[nodiscard]] Status make();
  [[nodiscard]] Status find_input_places();
  [[nodiscard]] Status make_run_options();
  [[nodiscard]] bool is_of_host(const OrtMemoryInfo* memory) const noexcept;
  [[nodiscard]] Status run(device::Slot& slot);
  [[nodiscard]] Result<Bound*> bound(std::size_t slot);
  [[nodiscard]] Status bind(device::Slot& slot, Bound& bound, What what);
  [[nodiscard]] Status bind_input(const device::Slot& slot, const Bound& bound, std::size_t input);
  [[nodiscard]] Status bind_output(const device::Slot& slot, const Bound& bound,
                                   std::size_t output);
  [[nodiscard]] Status place_outputs(device::Slot& slot, Bound& bound) const;
  [[nodiscard]] Status take_outputs(device::Slot& slot, const Bound& bound);
  [[nodiscard]] Result<Owned<OrtValue>> value_at(const OrtMemoryInfo* memory, void* address,
                                                 const TensorSpec& spec, const Shape& shape) const;
  [[nodiscard]] Status check(OrtStatus* failed) const;
  // Whether the output's shape follows from the number of rows, and what it is then.
  [[nodiscard]] bool is_fixed(std::size_t output) const noexcept;
  [[nodiscard]] Shape fixed_shape(std::size_t output, std::int64_t rows) const;

  const Runtime& runtime_;
  const OnnxOptions options_;
  const std::string path_;
  const GpuTarget target_;
  const device::Place place_;
  ModelSpec spec_;
  const bool is_on_stream_;  // all that is computed
  std::unique_ptr<device::Stream> stream_;
  Owned<OrtMemoryInfo> memory_;
  Owned<OrtRunOptions> run_options_;
  Owned<OrtSession> session_;
  std::vector<InputPlace> input_places_;
  std::vector<std::unique_ptr<Bound>> bound_;  // by slot
};

}  // namespace slipstream::onnx
