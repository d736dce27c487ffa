// A runtime of TensorRT for tests: see fake_nvinfer.h.
#include "fake_nvinfer.h"

#include <NvInferRuntime.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "backends/tensorrt/plan_header.h"
#include "cuda/fake_cuda.h"
#include "fake_plan.h"
#include "unused_functions.h"

namespace nvinfer1::fake {
namespace {

namespace tensorrt = slipstream::tensorrt;

constexpr std::int64_t kScratchBytes = std::int64_t{3} << 20U;

std::atomic<int> objects{0};
std::atomic<int> engines{0};
std::atomic<int> misuses{0};
std::atomic<int> executions{0};
std::atomic<int> refused_after{-1};
std::atomic<int> refused_contexts_after{-1};
std::atomic<bool> refuses_start{false};

struct Counted {
  Counted() { ++objects; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --objects; }
};

void require_entered() {
  if (fake_cuda_entered() == 0) ++misuses;
}

// As CUDA's runtime does, which a real one is linked to: of each device that it was used on it has
// the primary context until the process ends.
void hold_context() {
  static std::mutex mutex;
  static std::set<int> held;
  const std::scoped_lock lock(mutex);
  const int device = fake_cuda_current_device();
  if (device >= 0 && held.insert(device).second) fake_cuda_stranger(device, true);
}

struct Shared {
  ILogger& logger;
  FakePlan plan;
  std::atomic<int> contexts{0};

  void error(const std::string& text) const { logger.log(ILogger::Severity::kERROR, text.c_str()); }
};

// y = 2x, for elements of whole bytes.
struct Doubling {
  const std::byte* from;
  std::byte* to;
  std::int64_t bytes;
  DataType type;
  // Where it was recorded: how often the context's state had changed by then, and has by now.
  std::optional<int> recorded_at;
  std::shared_ptr<const std::atomic<int>> changes;

  // What was recorded was so for a state that the context has no more: it computes something else.
  [[nodiscard]] bool is_stale() const { return recorded_at && changes->load() != *recorded_at; }

  template <class T>
  void run_as() const {
    for (std::int64_t i = 0; i < bytes / static_cast<std::int64_t>(sizeof(T)); ++i) {
      T value{};
      std::memcpy(&value, from + i * static_cast<std::int64_t>(sizeof value), sizeof value);
      value = static_cast<T>(value + value);
      std::memcpy(to + i * static_cast<std::int64_t>(sizeof value), &value, sizeof value);
    }
  }
  static void run(void* argument) {
    const auto* const job = static_cast<const Doubling*>(argument);
    if (job->is_stale()) {
      std::memset(job->to, 0x55, static_cast<std::size_t>(job->bytes));
      return;
    }
    if (job->type == DataType::kFLOAT) return job->run_as<float>();
    if (job->type == DataType::kINT32) return job->run_as<std::uint32_t>();
    if (job->type == DataType::kINT64) return job->run_as<std::uint64_t>();
    if (job->type == DataType::kINT8) return job->run_as<std::uint8_t>();
    std::memcpy(job->to, job->from, static_cast<std::size_t>(job->bytes));
  }
};

class ContextParts final : public UnusedVExecutionContext {
 public:
  ContextParts(std::shared_ptr<Shared> shared, bool brings_memory)
      : shared_(std::move(shared)), has_memory_(brings_memory) {
    ++shared_->contexts;
  }
  ContextParts(const ContextParts&) = delete;
  ContextParts& operator=(const ContextParts&) = delete;
  ~ContextParts() noexcept override {
    require_entered();
    --shared_->contexts;
  }

  bool setOptimizationProfileAsync(int32_t profile, cudaStream_t stream) noexcept override {
    require_entered();
    if (profile < 0 || profile >= shared_->plan.profiles() || stream == nullptr) return false;
    profile_ = static_cast<std::size_t>(profile);
    change();
    return true;
  }
  bool setInputShape(char const* name, Dims const& dims) noexcept override {
    const FakeTensor* const input = shared_->plan.find(name);
    if (input == nullptr || !input->is_input || !is_taken(*input, dims)) {
      shared_->error("setInputShape: the dimensions do not satisfy the profile");
      return false;
    }
    if (!shapes_.contains(name) || !std::ranges::equal(sizes_of(shapes_[name]), sizes_of(dims))) {
      change();
    }
    shapes_[name] = dims;
    return true;
  }
  Dims getTensorShape(char const* name) const noexcept override {
    const FakeTensor* const tensor = shared_->plan.find(name);
    if (tensor == nullptr) return Dims{.nbDims = -1, .d = {}};
    if (tensor->is_input) return shapes_.contains(name) ? shapes_.at(name) : tensor->dims;
    Dims dims = tensor->dims;
    if (tensor->is_sparse || !shapes_.contains(tensor->of)) return dims;
    const Dims& of = shapes_.at(tensor->of);
    for (int axis = 0; axis < dims.nbDims; ++axis) {
      if (dims.d[axis] < 0) dims.d[axis] = of.d[axis];
    }
    return dims;
  }
  bool setTensorAddress(char const* name, void* data) noexcept override {
    if (data == nullptr || reinterpret_cast<std::uintptr_t>(data) % 256 != 0) return false;
    addresses_[name] = data;
    return true;
  }
  void setDeviceMemoryV2(void* memory, int64_t bytes) noexcept override {
    has_memory_ = memory != nullptr && bytes >= kScratchBytes;
  }
  bool enqueueV3(cudaStream_t stream) noexcept override {
    require_entered();
    if (!has_memory_) ++misuses;
    ++executions;
    const bool is_recorded = fake_cuda_is_capturing(stream);
    if (is_recorded && is_changed_) {
      shared_->error("enqueueV3: memory is needed for the new shapes, and a stream is captured");
      return false;
    }
    is_changed_ = false;
    if (refused_after.load() >= 0 && refused_after.fetch_sub(1) == 0) {
      shared_->error("enqueueV3: a tactic failed");
      return false;
    }
    for (const FakeTensor& tensor : shared_->plan.tensors) {
      if (!addresses_.contains(tensor.name)) ++misuses;
      if (tensor.is_input) continue;
      // Kept, since a graph launches it again and again.
      jobs_.push_back({.from = static_cast<const std::byte*>(addresses_[tensor.of]),
                       .to = static_cast<std::byte*>(addresses_[tensor.name]),
                       .bytes = bytes_of(tensor.type, getTensorShape(tensor.name.c_str())),
                       .type = tensor.type,
                       .recorded_at = is_recorded ? std::optional(changes_->load()) : std::nullopt,
                       .changes = changes_});
      if (fake_cuda_launch(stream, &Doubling::run, &jobs_.back()) != CUDA_SUCCESS) {
        shared_->error("enqueueV3: the launch failed");
        return false;
      }
    }
    return true;
  }

 private:
  static std::span<const std::int64_t> sizes_of(const Dims& dims) {
    return {dims.d, static_cast<std::size_t>(dims.nbDims)};
  }
  void change() {
    changes_->fetch_add(1);
    is_changed_ = true;
  }
  bool is_taken(const FakeTensor& input, const Dims& dims) const {
    if (dims.nbDims != input.dims.nbDims) return false;
    for (int axis = 0; axis < dims.nbDims; ++axis) {
      const std::int64_t dim = dims.d[axis];
      if (input.dims.d[axis] >= 0) {
        if (dim != input.dims.d[axis]) return false;
      } else if (dim < input.mins[profile_].d[axis] || dim > input.maxs[profile_].d[axis]) {
        return false;
      }
    }
    return true;
  }

  std::shared_ptr<Shared> shared_;
  bool has_memory_;
  bool is_changed_ = true;  // since what was enqueued last
  std::shared_ptr<std::atomic<int>> changes_ = std::make_shared<std::atomic<int>>(0);
  std::size_t profile_ = 0;
  std::map<std::string, Dims> shapes_;
  std::map<std::string, void*> addresses_;
  std::deque<Doubling> jobs_;
};

class FakeContext final : public IExecutionContext, Counted {
 public:
  FakeContext(std::shared_ptr<Shared> shared, bool brings_memory)
      : parts_(std::move(shared), brings_memory) {
    mImpl = &parts_;
  }

 private:
  ContextParts parts_;
};

class EngineParts final : public UnusedVCudaEngine {
 public:
  explicit EngineParts(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  EngineParts(const EngineParts&) = delete;
  EngineParts& operator=(const EngineParts&) = delete;
  ~EngineParts() noexcept override {
    require_entered();
    if (shared_->contexts.load() != 0) ++misuses;
  }

  IExecutionContext* createExecutionContext(
      ExecutionContextAllocationStrategy strategy) noexcept override {
    require_entered();
    if (refused_contexts_after.load() >= 0 && refused_contexts_after.fetch_sub(1) == 0) {
      shared_->error("createExecutionContext: out of memory");
      return nullptr;
    }
    return new FakeContext(shared_, strategy != ExecutionContextAllocationStrategy::kUSER_MANAGED);
  }
  int32_t getNbOptimizationProfiles() const noexcept override { return plan().profiles(); }
  int32_t getNbIOTensors() const noexcept override {
    return static_cast<int32_t>(plan().tensors.size());
  }
  char const* getIOTensorName(int32_t index) const noexcept override {
    return plan().tensors[static_cast<std::size_t>(index)].name.c_str();
  }
  Dims getTensorShape(char const* name) const noexcept override { return of(name).dims; }
  DataType getTensorDataType(char const* name) const noexcept override { return of(name).type; }
  TensorLocation getTensorLocation(char const* name) const noexcept override {
    return of(name).is_on_host ? TensorLocation::kHOST : TensorLocation::kDEVICE;
  }
  bool isShapeInferenceIO(char const* name) const noexcept override { return of(name).is_on_host; }
  TensorIOMode getTensorIOMode(char const* name) const noexcept override {
    return of(name).is_input ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  TensorFormat getTensorFormatV2(char const* name, int32_t) const noexcept override {
    return of(name).is_packed ? TensorFormat::kCHW4 : TensorFormat::kLINEAR;
  }
  Dims getProfileShape(char const* name, int32_t profile,
                       OptProfileSelector which) const noexcept override {
    const FakeTensor& tensor = of(name);
    const auto& bounds = which == OptProfileSelector::kMIN ? tensor.mins : tensor.maxs;
    const auto place = static_cast<std::size_t>(profile);
    return place < bounds.size() ? bounds[place] : Dims{.nbDims = -1, .d = {}};
  }
  int64_t getDeviceMemorySizeV2() const noexcept override { return kScratchBytes; }
  int64_t getDeviceMemorySizeForProfileV2(int32_t) const noexcept override { return kScratchBytes; }

 private:
  [[nodiscard]] const FakePlan& plan() const { return shared_->plan; }
  [[nodiscard]] const FakeTensor& of(const char* name) const { return *plan().find(name); }

  std::shared_ptr<Shared> shared_;
};

class FakeEngine final : public ICudaEngine, Counted {
 public:
  explicit FakeEngine(std::shared_ptr<Shared> shared) : parts_(std::move(shared)) {
    mImpl = &parts_;
    ++engines;
  }

 private:
  EngineParts parts_;
};

class RuntimeParts final : public UnusedVRuntime {
 public:
  explicit RuntimeParts(ILogger& logger) : logger_(logger) {}

  ICudaEngine* deserializeCudaEngine(void const* blob, std::size_t size) noexcept override {
    require_entered();
    const auto error = [this](const char* text) {
      logger_.log(ILogger::Severity::kERROR, text);
      return nullptr;
    };
    const auto* const bytes = static_cast<const char*>(blob);
    if (!std::string_view(bytes, size).starts_with(tensorrt::kPlanMark) ||
        size < tensorrt::kPlanHeaderBytes) {
      return error("no magic tag");
    }
    if (bytes[tensorrt::kPlanVersionAt] != NV_TENSORRT_MAJOR ||
        bytes[tensorrt::kPlanVersionAt + 1] != NV_TENSORRT_MINOR) {
      return error("the version tag does not match");
    }
    auto plan = read_fake_plan(
        std::string(bytes + tensorrt::kPlanHeaderBytes, size - tensorrt::kPlanHeaderBytes));
    if (!plan) return error("the archive ends too soon");
    if (plan->needs == "other-gpu") {
      return error("the plan was generated on an incompatible device");
    }
    if (plan->needs == "host-code" && !is_host_code_allowed_) {
      return error("engine host code is not allowed");
    }
    hold_context();
    return new FakeEngine(
        std::shared_ptr<Shared>(new Shared{.logger = logger_, .plan = *std::move(plan)}));
  }
  void setEngineHostCodeAllowed(bool allowed) noexcept override { is_host_code_allowed_ = allowed; }

 private:
  ILogger& logger_;
  bool is_host_code_allowed_ = false;
};

class FakeRuntime final : public IRuntime, Counted {
 public:
  explicit FakeRuntime(ILogger& logger) : parts_(logger) { mImpl = &parts_; }

 private:
  RuntimeParts parts_;
};

}  // namespace
}  // namespace nvinfer1::fake

FAKE_NVINFER_API void* createInferRuntime_INTERNAL(void* logger, std::int32_t version) noexcept {
  if (version / 10000 != NV_TENSORRT_MAJOR) return nullptr;
  auto& log = *static_cast<nvinfer1::ILogger*>(logger);
  if (nvinfer1::fake::refuses_start.load()) {
    log.log(nvinfer1::ILogger::Severity::kERROR, "createInferRuntime: initialization failed");
    return reinterpret_cast<void*>(std::uintptr_t{0x228});
  }
  nvinfer1::fake::require_entered();
  return static_cast<nvinfer1::IRuntime*>(new nvinfer1::fake::FakeRuntime(log));
}
FAKE_NVINFER_API std::int32_t getInferLibVersion() noexcept {
  return NV_TENSORRT_VERSION;
}

FAKE_NVINFER_API int fake_nvinfer_objects() {
  return nvinfer1::fake::objects.load();
}
FAKE_NVINFER_API int fake_nvinfer_engines() {
  return nvinfer1::fake::engines.load();
}
FAKE_NVINFER_API int fake_nvinfer_executions() {
  return nvinfer1::fake::executions.load();
}
FAKE_NVINFER_API int fake_nvinfer_misuses() {
  return nvinfer1::fake::misuses.load();
}
FAKE_NVINFER_API void fake_nvinfer_refuse_execution(int after) {
  nvinfer1::fake::refused_after.store(after);
}
FAKE_NVINFER_API void fake_nvinfer_refuse_context(int after) {
  nvinfer1::fake::refused_contexts_after.store(after);
}
FAKE_NVINFER_API void fake_nvinfer_refuse_start(bool refuses) {
  nvinfer1::fake::refuses_start.store(refuses);
}
