// The torch backend on a device that the host plays: what it does with packages of AOTInductor's,
// and with the memory that libtorch keeps.
#include <dlfcn.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/backend_loader.h"
#include "device/host_device.h"
#include "harness.h"
#include "torch/host_target.h"

namespace slipstream {
namespace {

constexpr std::int64_t kColumns = 4;

Backend& torch_backend() {
  static BackendRegistry registry({BACKENDS_ON_HOST});
  static const Result<Backend*> opened = registry.open("torch");
  CHECK_EQ(opened.status().message(), "");
  REQUIRE(opened.is_ok());
  return *opened.value();
}

// A function of host_target.h, in the backend's library.
template <class Function>
Function* control(const char* name) {
  static_cast<void>(torch_backend());
  void* const library =
      dlopen(BACKENDS_ON_HOST "/libslipstream_backend_torch.so", RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(library != nullptr);
  auto* const found = reinterpret_cast<Function*>(dlsym(library, name));
  REQUIRE(found != nullptr);
  return found;
}

std::unique_ptr<Model> load(std::map<std::string, std::string> options = {}) {
  options.insert({{"kind", "package"},
                  {"inputs", "float32 -1,4 x"},
                  {"outputs", "float32 -1,4 y"},
                  {"batchable", "true"},
                  {"device", "cuda:0"}});
  Result<std::unique_ptr<Model>> model =
      torch_backend().load({.path = FAKE_PACKAGE, .options = std::move(options)});
  CHECK_EQ(model.status().message(), "");
  REQUIRE(model.is_ok());
  return std::move(model).value();
}

std::unique_ptr<Instance> must_create(Model& model) {
  Result<std::unique_ptr<Instance>> instance = model.create_instance();
  CHECK_EQ(instance.status().message(), "");
  REQUIRE(instance.is_ok());
  return std::move(instance).value();
}

std::string answer_to(Instance& instance, std::int64_t rows) {
  Tensor input = Tensor::allocate(DType::kFloat32, {rows, kColumns});
  float next = 1;
  for (float& value : input.as<float>()) value = next++;
  std::vector<Tensor> outputs;
  const Status status = instance.execute({.inputs = {&input, 1}}, outputs);
  if (!status.is_ok()) return status.message();
  const bool is_same = outputs.size() == 1 && outputs[0].shape() == input.shape() &&
                       std::ranges::equal(outputs[0].as<float>(), input.as<float>());
  return is_same ? "" : "another answer";
}

// The package answers nothing by its other entry, and nothing to two callers at once.
TEST(instances_on_a_device_call_a_package_in_turn_and_as_it_can_be_recorded) {
  const auto model = load({{"graph_rows", "64"}, {"runners", "7"}});
  constexpr int kInstances = 3;
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kInstances; ++i) {
    threads.emplace_back([&failures, instance = must_create(*model)] {
      for (std::int64_t rows = 1; rows <= 30; ++rows) {
        if (!answer_to(*instance, rows).empty()) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK_EQ(failures.load(), 0);
}

TEST(batches_to_be_recorded_are_padded_to_no_more_rows_than_the_model_takes) {
  const auto model = load({{"graph_rows", "64"}, {"sizes", "rows 1 9 0:0"}});
  CHECK_EQ(model->spec().max_rows, 9);
  const auto instance = must_create(*model);
  CHECK_EQ(answer_to(*instance, 9), "");
}

TEST(what_libtorch_keeps_is_given_back_when_a_model_leaves) {
  const auto given_back = control<decltype(host_target_given_back)>("host_target_given_back");
  auto model = load();
  const int before = given_back();
  must_create(*model).reset();
  CHECK_EQ(given_back(), before);
  model.reset();
  CHECK_EQ(given_back(), before + 1);
}

TEST(what_libtorch_keeps_is_given_back_before_the_device_has_no_memory) {
  const auto hoard = control<decltype(host_target_hoard)>("host_target_hoard");
  const auto given_back = control<decltype(host_target_given_back)>("host_target_given_back");
  const auto model = load();
  const auto instance = must_create(*model);
  CHECK_EQ(answer_to(*instance, 1), "");
  const int before = given_back();
  const std::int64_t row_bytes = kColumns * static_cast<std::int64_t>(sizeof(float));
  const std::int64_t rows = (std::int64_t{4} << 20U) / row_bytes;
  REQUIRE(hoard(0, device::kHostDeviceBytes - (std::size_t{8} << 20U)));
  CHECK_EQ(answer_to(*instance, rows), "");
  CHECK(given_back() > before);
}

}  // namespace
}  // namespace slipstream
