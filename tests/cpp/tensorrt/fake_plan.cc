#include "fake_plan.h"

#include <algorithm>
#include <sstream>

namespace nvinfer1::fake {
namespace {

Dims dims_of(const std::string& text) {
  Dims dims{};
  if (text == "-") return dims;
  std::istringstream in(text);
  for (std::string one; std::getline(in, one, ',');) dims.d[dims.nbDims++] = std::stoll(one);
  return dims;
}

FakeTensor tensor_of(std::istringstream& line, bool is_input) {
  FakeTensor tensor;
  tensor.is_input = is_input;
  int type = 0;
  std::string dims;
  line >> tensor.name >> type >> dims;
  tensor.type = static_cast<DataType>(type);
  tensor.dims = dims_of(dims);
  if (!is_input) line >> tensor.of;
  for (std::string word; line >> word;) {
    if (word == "host") {
      tensor.is_on_host = true;
    } else if (word == "packed") {
      tensor.is_packed = true;
    } else if (word == "sparse") {
      tensor.is_sparse = true;
    } else {
      (tensor.mins.size() == tensor.maxs.size() ? tensor.mins : tensor.maxs)
          .push_back(dims_of(word));
    }
  }
  return tensor;
}

}  // namespace

const FakeTensor* FakePlan::find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(tensors, [name](const FakeTensor& one) { return one.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

int FakePlan::profiles() const {
  std::size_t most = 1;
  for (const FakeTensor& tensor : tensors) most = std::max(most, tensor.maxs.size());
  return static_cast<int>(most);
}

std::optional<FakePlan> read_fake_plan(const std::string& text) {
  FakePlan plan;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "end") return plan;
    if (kind == "needs") words >> plan.needs;
    if (kind == "input" || kind == "output") {
      plan.tensors.push_back(tensor_of(words, kind == "input"));
    }
  }
  return std::nullopt;
}

std::int64_t bytes_of(DataType type, const Dims& dims) {
  std::int64_t bytes = 4;
  if (type == DataType::kHALF || type == DataType::kBF16) bytes = 2;
  if (type == DataType::kINT8 || type == DataType::kUINT8 || type == DataType::kBOOL) bytes = 1;
  if (type == DataType::kINT64) bytes = 8;
  for (int axis = 0; axis < dims.nbDims; ++axis) bytes *= dims.d[axis];
  return bytes;
}

}  // namespace nvinfer1::fake
