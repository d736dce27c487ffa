#include "fuzz/forest_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <vector>

#include "backends/forest/refusal.h"
#include "forest/algorithms.h"
#include "forest/loaded.h"
#include "fuzz/tokens.h"

namespace fuzz {
namespace {

using namespace slipstream;
using namespace slipstream::forest;

// More than this, of numbers in one run, is only slow.
constexpr std::size_t kMostElements = std::size_t{1} << 21;

void require(bool condition, const std::string& promise) {
  if (!condition) throw BrokenPromise(promise);
}

double hard_number(Random& random) {
  constexpr double kNumbers[] = {0.0,
                                 -0.0,
                                 1.0,
                                 -1.0,
                                 0.5,
                                 1.5,
                                 2.0,
                                 5.0,
                                 100.0,
                                 1e9,
                                 5e9,
                                 -3,
                                 1e38,
                                 1e300,
                                 -1e300,
                                 1e-35,
                                 5e-324,
                                 std::numeric_limits<double>::infinity(),
                                 -std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN()};
  if (chance(random, 2)) return kNumbers[below(random, std::size(kNumbers))];
  return std::ldexp(static_cast<double>(random() % 20001) - 10000, -10);
}

Tensor random_tensor(const ValueType& type, std::int64_t rows, Random& random) {
  const std::string words[] = {
      "", "a", "b", "zz", std::string(kMissingString), "longer than any small string is"};
  Tensor tensor = Tensor::allocate(type.dtype, {rows, std::int64_t{type.width}});
  const auto count = static_cast<std::size_t>(tensor.elements());
  for (std::size_t i = 0; i < count; ++i) {
    switch (type.dtype) {
      case DType::kString:
        tensor.strings()[i] = words[below(random, std::size(words))];
        break;
      case DType::kBool:
        tensor.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(random() % 2);
        break;
      case DType::kInt64:
        tensor.as<std::int64_t>()[i] = chance(random, 4)
                                           ? static_cast<std::int64_t>(random())
                                           : static_cast<std::int64_t>(random() % 20) - 5;
        break;
      case DType::kFloat32:
        tensor.as<float>()[i] = static_cast<float>(hard_number(random));
        break;
      default:
        tensor.as<double>()[i] = hard_number(random);
    }
  }
  return tensor;
}

template <class T>
bool same_numbers(const Tensor& a, const Tensor& b) {
  for (std::size_t i = 0; i < a.as<T>().size(); ++i) {
    const T x = a.as<T>()[i];
    const T y = b.as<T>()[i];
    if (x != x && y != y) continue;  // which NaN is nobody's promise
    if (std::memcmp(&x, &y, sizeof x) != 0) return false;
  }
  return true;
}

bool same(const Tensor& a, const Tensor& b) {
  if (a.dtype() == DType::kString) return std::ranges::equal(a.strings(), b.strings());
  if (a.dtype() == DType::kFloat64) return same_numbers<double>(a, b);
  if (a.dtype() == DType::kFloat32) return same_numbers<float>(a, b);
  return a.bytes() == 0 || std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

std::size_t row_elements(const Program& program) {
  std::size_t elements = 0;
  for (const ValueType& type : program.values) elements += type.width;
  return elements;
}

std::string any_algorithm(Random& random) {
  if (chance(random, 40)) return "auto";  // it measures, so it is slow
  return kAlgorithms[1 + below(random, std::size(kAlgorithms) - 1)];
}

// The outputs, or why a row was refused.
struct Answer {
  std::vector<Tensor> outputs;
  std::string refusal;
};

Answer ask(const Loaded& loaded, const std::vector<Tensor>& inputs, std::uint64_t wanted) {
  try {
    return {.outputs = loaded.run(inputs, wanted), .refusal = {}};
  } catch (const Refusal& refusal) {
    return {.outputs = {}, .refusal = "refused: " + refusal.text()};
  }
}

}  // namespace

bool check_forest_file(const std::string& bytes, std::uint64_t seed) {
  Random random(seed);
  const Loaded plain(bytes, "plain");
  if (!plain.status().is_ok()) {
    const std::string& message = plain.status().message();
    require(plain.status().code() == StatusCode::kInvalidArgument, "another code: " + message);
    require(!message.empty() && message.size() < 500, "no message, or a long one: " + message);
    return false;
  }
  const std::size_t elements = row_elements(plain.program());
  if (elements > kMostElements) return true;
  const std::size_t most = std::min<std::size_t>(80, kMostElements / elements);
  const auto rows = static_cast<std::int64_t>(below(random, most + 1));
  std::vector<Tensor> inputs;
  for (const ProgramInput& input : plain.program().inputs) {
    inputs.push_back(random_tensor(input.type, rows, random));
  }
  const std::uint64_t wanted = chance(random, 3) ? random() : ~std::uint64_t{0};
  const Answer answer = ask(plain, inputs, wanted);
  const std::string algorithm = any_algorithm(random);
  const Loaded other(bytes, algorithm);
  if (!other.status().is_ok()) {
    // Trees that do not fit the algorithm, or instructions that this processor lacks.
    require(other.status().message().find("option algorithm") == std::string::npos,
            other.status().message());
    return true;
  }
  const Answer again = ask(other, inputs, wanted);
  require(again.refusal == answer.refusal, algorithm + " refuses otherwise than plain");
  for (std::size_t i = 0; i < answer.outputs.size(); ++i) {
    require(same(answer.outputs[i], again.outputs[i]), algorithm + " answers otherwise than plain");
  }
  return true;
}

}  // namespace fuzz
