// The seam between the core and whatever computes: Backend -> Model -> Instance.
//
// A backend is a shared library `libslipstream_backend_<name>.so` that exports one function,
// `slipstream_backend_create_v1`. The core opens it by name (backend_loader.h), so a process that
// never loads an ONNX model never maps ONNX Runtime. csrc/backends/echo is the template.
//
// Rules for implementers:
//  - No exception may leave any of these functions; report a Status that names the thing, the cause
//    and the remedy.
//  - Backend and Model calls come from any thread, possibly several at once.
//  - One Instance is used by one thread at a time, though not always by the same thread (a caller
//    may borrow an idle instance to run a request inline). It leaves the thread as it found it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/status.h"
#include "core/tensor.h"

namespace slipstream {

// What one input or output of a model looks like. A dimension of -1 may have any size.
struct TensorSpec {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> dims;
};

struct ModelSpec {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  // True when every input and output has the same dynamic first dimension and rows do not influence
  // each other, so that rows of different requests may share an execution. When false, each request
  // is executed alone, with its tensors exactly as given.
  bool batchable = false;
  // The most rows that one execution takes, where it is batchable; 0: any number.
  std::int64_t max_rows = 0;
};

struct ModelConfig {
  std::string path;                            // the artifact on disk
  std::map<std::string, std::string> options;  // backend-specific; unknown keys are an error
  // Of the model, for messages; empty: not known. gcc wants an initializer where others are named.
  std::string name{};  // NOLINT(readability-redundant-member-init)
};

// One call of Instance::execute. Inputs are in ModelSpec order and match its dtypes and ranks.
struct Execution {
  std::span<const Tensor> inputs;
  // Bit i set: somebody wants output i. An unwanted output may be left as an empty Tensor{}.
  std::uint64_t outputs_wanted = ~std::uint64_t{0};
  // Where outputs on the host should be allocated; those of devices come in memory of their own.
  std::pmr::memory_resource* memory = std::pmr::new_delete_resource();

  [[nodiscard]] bool wants(std::size_t output) const noexcept {
    return output >= 64 || ((outputs_wanted >> output) & 1U) != 0;
  }
};

// Rows of one request, in an execution that it may share with others.
struct Piece {
  std::span<const Tensor> inputs;  // the request's own, in ModelSpec order
  std::int64_t begin_row = 0;      // in each of them
  std::int64_t end_row = 0;
};

// One call of PipelinedInstance::begin.
struct Launch {
  // One behind the other along the first dimension; of a model that is not batchable there is one,
  // and its tensors are taken exactly as they are.
  std::span<const Piece> pieces;
  std::int64_t rows = 0;  // of all pieces
  // As in Execution.
  std::uint64_t outputs_wanted = ~std::uint64_t{0};
  std::pmr::memory_resource* memory = std::pmr::new_delete_resource();
  // Where it is not null: called from any thread once this execution has ended, and not called at
  // all where that cannot be told. The instance calls it before it is destroyed, or never; only a
  // call that was in progress when a device was lost may end a little later.
  void (*wake)(void* context) noexcept = nullptr;
  void* wake_context = nullptr;
};

class PipelinedInstance;

class Instance {
 public:
  Instance() = default;
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  virtual ~Instance() = default;

  // Computes outputs (in ModelSpec order, one Tensor per output) from inputs. Blocks until done.
  // Inputs may not be kept after the call returns; outputs belong to the caller. On failure
  // `outputs` is ignored and every request of the batch gets the Status (or is retried alone).
  [[nodiscard]] virtual Status execute(const Execution& execution,
                                       std::vector<Tensor>& outputs) noexcept = 0;

  // Whoever closes the model waits no longer: an execution in progress should end soon, and may
  // fail for it. From any thread, beside execute(), and more than once. A computation
  // that cannot be stopped goes on, and is waited for.
  virtual void interrupt() noexcept {}

  // How often this instance had to be rebuilt after a failure (a restarted child process).
  [[nodiscard]] virtual std::uint64_t restarts() const noexcept { return 0; }

  // Why it can compute nothing now, though it was made: its device is lost. From any thread.
  [[nodiscard]] virtual Status health() const noexcept { return Status::ok(); }

  // Not null where executions begin and end apart.
  [[nodiscard]] virtual PipelinedInstance* pipelined() noexcept { return nullptr; }
};

// An instance that computes beside the host, on a device, and may have several executions in
// progress: the next is copied in while one computes. execute() is for when none is.
class PipelinedInstance : public Instance {
 public:
  [[nodiscard]] PipelinedInstance* pipelined() noexcept final { return this; }

  // The most executions that may be in progress at once.
  [[nodiscard]] virtual std::size_t depth() const noexcept = 0;
  // Executions will have no more rows than that, unless told otherwise: what they need may be made
  // beforehand. While none is in progress.
  virtual void expect_rows(std::int64_t /*rows*/) noexcept {}
  // Begins one, and returns before it is done; fewer than depth() are in progress. What cannot be
  // begun ends like any other, with the reason. The inputs stay as they are until it has ended.
  virtual void begin(const Launch& launch) noexcept = 0;
  // True: of those in progress the one that began first has ended, and is in progress no more. How
  // is in `status`, and if that is ok the answer in `outputs`, as execute() gives it.
  [[nodiscard]] virtual bool poll(Status& status, std::vector<Tensor>& outputs) noexcept = 0;
  // Of what poll() gave last: how long the device computed, without copies and waiting. 0 where
  // that is not known; it need be only of executions that were begun while no other was in
  // progress.
  [[nodiscard]] virtual Nanoseconds computed_ns() const noexcept { return 0; }
};

class Model {
 public:
  Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  virtual ~Model() = default;

  [[nodiscard]] virtual const ModelSpec& spec() const noexcept = 0;
  // Every Instance is destroyed before its Model.
  [[nodiscard]] virtual Result<std::unique_ptr<Instance>> create_instance() noexcept = 0;
  // False when a call may block for long whatever the learned time says (another process is
  // involved), so that it must never run inline on the caller's thread.
  [[nodiscard]] virtual bool may_run_inline() const noexcept { return true; }
};

class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  // A human-readable version of the runtime behind it ("onnxruntime 1.31.0"); empty if none.
  [[nodiscard]] virtual std::string version() const noexcept = 0;
  [[nodiscard]] virtual Result<std::unique_ptr<Model>> load(const ModelConfig& config) noexcept = 0;
};

}  // namespace slipstream

// Returns a new Backend, or null when out of memory. Called once per process, under the loader's
// lock; the library is never unloaded. `extern "C"`, the one symbol a backend exports.
#define SLIPSTREAM_BACKEND_ENTRY slipstream_backend_create_v1
#define SLIPSTREAM_DEFINE_BACKEND(BackendClass)                          \
  extern "C" __attribute__((visibility("default"))) slipstream::Backend* \
  SLIPSTREAM_BACKEND_ENTRY() noexcept {                                  \
    return new (std::nothrow) BackendClass();                            \
  }
