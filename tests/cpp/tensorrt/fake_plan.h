// The text of a fake plan (plan_writer.h), read. For the fake runtime.
//
// Threads: any. Failure: nullopt for a text that is cut short.
#pragma once

#include <NvInferRuntime.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nvinfer1::fake {

struct FakeTensor {
  std::string name;
  bool is_input = false;
  DataType type = DataType::kFLOAT;
  Dims dims{};
  std::vector<Dims> mins;  // of each profile
  std::vector<Dims> maxs;
  std::string of;  // of an output: the input that it is made of
  bool is_on_host = false;
  bool is_packed = false;
  bool is_sparse = false;
};

struct FakePlan {
  std::vector<FakeTensor> tensors;
  std::string needs;

  [[nodiscard]] const FakeTensor* find(std::string_view name) const;
  [[nodiscard]] int profiles() const;
};

[[nodiscard]] std::optional<FakePlan> read_fake_plan(const std::string& text);

[[nodiscard]] std::int64_t bytes_of(DataType type, const Dims& dims);

}  // namespace nvinfer1::fake
