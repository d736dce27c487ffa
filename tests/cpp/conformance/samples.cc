#include "conformance/samples.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>

namespace slipstream::conformance {
namespace {

using Random = std::mt19937_64;

template <class T>
void fill(Tensor& tensor, Random& random, std::int64_t low, std::int64_t high) {
  for (T& element : tensor.as<T>()) {
    const std::int64_t drawn = low + static_cast<std::int64_t>(random() % (high - low + 1));
    element = static_cast<T>(drawn);
  }
}

template <class T>
void fill_fractions(Tensor& tensor, Random& random) {
  for (T& element : tensor.as<T>()) {
    element = static_cast<T>(static_cast<double>(random() % 2001) / 1000.0 - 1.0);
  }
}

// Positive and negative powers of two and what lies between, away from infinities and NaN:
// `one` is the bit pattern of 1.0.
void fill_half_floats(Tensor& tensor, Random& random, std::uint16_t one, std::uint16_t spread) {
  for (std::uint16_t& element : tensor.as<std::uint16_t>()) {
    const auto sign = static_cast<std::uint16_t>((random() & 1U) << 15U);
    element = static_cast<std::uint16_t>(sign | (one - random() % spread));
  }
}

void fill_strings(Tensor& tensor, Random& random) {
  using namespace std::string_view_literals;
  constexpr std::string_view kPieces[] = {
      "",       "a",          "slip", "\0"sv,
      "stream", "\xc3\xa9"sv, " ",    "0123456789012345678901234567890123456789"};
  for (std::string& text : tensor.strings()) {
    for (std::uint64_t pieces = random() % 4; pieces > 0; --pieces) {
      text += kPieces[random() % std::size(kPieces)];
    }
  }
}

void fill_tensor(Tensor& tensor, Random& random) {
  switch (tensor.dtype()) {
    case DType::kBool:
      return fill<std::uint8_t>(tensor, random, 0, 1);
    case DType::kInt8:
      return fill<std::int8_t>(tensor, random, -9, 9);
    case DType::kInt16:
      return fill<std::int16_t>(tensor, random, -9, 9);
    case DType::kInt32:
      return fill<std::int32_t>(tensor, random, 0, 9);
    case DType::kInt64:
      return fill<std::int64_t>(tensor, random, 0, 9);
    case DType::kUint8:
      return fill<std::uint8_t>(tensor, random, 0, 9);
    case DType::kUint16:
      return fill<std::uint16_t>(tensor, random, 0, 9);
    case DType::kUint32:
      return fill<std::uint32_t>(tensor, random, 0, 9);
    case DType::kUint64:
      return fill<std::uint64_t>(tensor, random, 0, 9);
    case DType::kFloat16:
      return fill_half_floats(tensor, random, 0x3c00, 0x1000);
    case DType::kBfloat16:
      return fill_half_floats(tensor, random, 0x3f80, 0x0200);
    case DType::kFloat32:
      return fill_fractions<float>(tensor, random);
    case DType::kFloat64:
      return fill_fractions<double>(tensor, random);
    case DType::kString:
      return fill_strings(tensor, random);
  }
}

double half_to_double(std::uint16_t bits) {
  const int exponent = (bits >> 10U) & 0x1f;
  const int fraction = bits & 0x3ff;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (bits & 0x8000U) != 0 ? -magnitude : magnitude;
}

// Element `i` of a floating-point tensor, and how far apart two equal results may lie.
double as_double(const Tensor& tensor, std::size_t i) {
  switch (tensor.dtype()) {
    case DType::kFloat64:
      return tensor.as<double>()[i];
    case DType::kFloat32:
      return static_cast<double>(tensor.as<float>()[i]);
    case DType::kBfloat16:
      return static_cast<double>(
          std::bit_cast<float>(static_cast<std::uint32_t>(tensor.as<std::uint16_t>()[i]) << 16U));
    default:
      return half_to_double(tensor.as<std::uint16_t>()[i]);
  }
}

double tolerance(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return 1e-12;
    case DType::kFloat32:
      return 1e-5;
    default:
      return 2e-2;
  }
}

bool is_floating(DType dtype) {
  return dtype == DType::kFloat16 || dtype == DType::kBfloat16 || dtype == DType::kFloat32 ||
         dtype == DType::kFloat64;
}

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.bytes() == 0 || std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

bool all_close(const Tensor& a, const Tensor& b) {
  const double allowed = tolerance(a.dtype());
  for (std::size_t i = 0; i < static_cast<std::size_t>(a.elements()); ++i) {
    const double x = as_double(a, i);
    const double y = as_double(b, i);
    if (std::isnan(x) && std::isnan(y)) continue;
    if (!(std::abs(x - y) <= allowed * std::max(1.0, std::abs(x)))) return false;
  }
  return true;
}

}  // namespace

std::vector<Tensor> make_inputs(const ModelSpec& spec, std::int64_t rows, std::uint64_t seed,
                                std::int64_t dynamic_dim) {
  Random random(seed);
  std::vector<Tensor> tensors;
  for (const TensorSpec& input : spec.inputs) {
    std::vector<std::int64_t> dims = input.dims;
    for (std::size_t axis = 0; axis < dims.size(); ++axis) {
      if (dims[axis] < 0) dims[axis] = axis == 0 ? rows : dynamic_dim;
    }
    Tensor tensor = Tensor::allocate(input.dtype, Shape(std::span<const std::int64_t>(dims)));
    fill_tensor(tensor, random);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::vector<Tensor> concatenate(const std::vector<std::vector<Tensor>>& parts) {
  std::vector<Tensor> whole;
  for (std::size_t i = 0; i < parts.front().size(); ++i) {
    std::int64_t rows = 0;
    for (const auto& part : parts) rows += part[i].rows();
    const Tensor& first = parts.front()[i];
    Tensor tensor = Tensor::allocate(first.dtype(), first.shape().with_rows(rows));
    std::int64_t row = 0;
    for (const auto& part : parts) {
      Tensor room = tensor.slice_rows(row, row + part[i].rows());
      row += part[i].rows();
      if (first.dtype() == DType::kString) {
        std::ranges::copy(part[i].strings(), room.strings().begin());
      } else if (part[i].bytes() != 0) {
        std::memcpy(room.data(), part[i].data(), part[i].bytes());
      }
    }
    whole.push_back(std::move(tensor));
  }
  return whole;
}

std::vector<Tensor> slice_rows(const std::vector<Tensor>& tensors, std::int64_t begin,
                               std::int64_t end) {
  std::vector<Tensor> slices;
  for (const Tensor& tensor : tensors) slices.push_back(tensor.slice_rows(begin, end));
  return slices;
}

Tensor deep_copy(const Tensor& tensor) {
  Tensor copy = Tensor::allocate(tensor.dtype(), tensor.shape());
  if (tensor.dtype() == DType::kString) {
    std::ranges::copy(tensor.strings(), copy.strings().begin());
  } else if (tensor.bytes() != 0) {
    std::memcpy(copy.data(), tensor.data(), tensor.bytes());
  }
  return copy;
}

std::vector<Tensor> deep_copy(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> copies;
  for (const Tensor& tensor : tensors) copies.push_back(deep_copy(tensor));
  return copies;
}

void scribble(std::vector<Tensor>& tensors) {
  for (Tensor& tensor : tensors) {
    if (tensor.dtype() == DType::kString) {
      std::ranges::fill(tensor.strings(), "scribbled over");
    } else if (tensor.bytes() != 0) {
      std::memset(tensor.data(), 0x5a, tensor.bytes());
    }
  }
}

std::string difference(const Tensor& a, const Tensor& b, bool exact) {
  if (a.dtype() != b.dtype()) {
    return std::string(dtype_name(a.dtype())) + " vs " + std::string(dtype_name(b.dtype()));
  }
  if (!(a.shape() == b.shape())) {
    return "shapes " + to_string(a.shape().dims()) + " vs " + to_string(b.shape().dims());
  }
  if (a.dtype() == DType::kString) {
    return std::ranges::equal(a.strings(), b.strings()) ? "" : "other strings";
  }
  const bool same = exact || !is_floating(a.dtype()) ? same_bytes(a, b) : all_close(a, b);
  return same ? "" : "other values";
}

std::string difference(const std::vector<Tensor>& a, const std::vector<Tensor>& b, bool exact) {
  if (a.size() != b.size()) return "another number of tensors";
  for (std::size_t i = 0; i < a.size(); ++i) {
    const std::string text = difference(a[i], b[i], exact);
    if (!text.empty()) return "tensor " + std::to_string(i) + ": " + text;
  }
  return "";
}

std::string describe(const TensorSpec& spec) {
  return spec.name + ": " + std::string(dtype_name(spec.dtype)) + " " + to_string(spec.dims);
}

}  // namespace slipstream::conformance
