#include "conformance/reference.h"

#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace slipstream::conformance {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  return parts;
}

std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  if (hex == "-") return bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

Tensor read_tensor(const std::string& dtype_text, const std::string& dims_text,
                   const std::string& elements) {
  const auto dtype = dtype_from_name(dtype_text);
  if (!dtype) throw std::runtime_error("reference: unknown dtype " + dtype_text);
  std::vector<std::int64_t> dims;
  if (dims_text != "-") {
    for (const std::string& dim : split(dims_text, ',')) dims.push_back(std::stoll(dim));
  }
  Tensor tensor = Tensor::allocate(*dtype, Shape(std::span<const std::int64_t>(dims)));
  if (*dtype == DType::kString) {
    const std::vector<std::string> parts = split(elements, ',');
    if (parts.size() != tensor.strings().size()) throw std::runtime_error("reference: strings");
    for (std::size_t i = 0; i < parts.size(); ++i) tensor.strings()[i] = bytes_of_hex(parts[i]);
    return tensor;
  }
  const std::string bytes = bytes_of_hex(elements);
  if (bytes.size() != tensor.bytes()) throw std::runtime_error("reference: bytes of " + dims_text);
  if (!bytes.empty()) std::memcpy(tensor.data(), bytes.data(), bytes.size());
  return tensor;
}

}  // namespace

std::vector<ReferenceCase> read_reference(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("no reference answers at " + path);
  std::vector<ReferenceCase> cases;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string kind, name, dtype, dims, elements;
    words >> kind >> name >> dtype >> dims >> elements;
    if (kind == "case") {
      cases.emplace_back();
    } else if (cases.empty() || (kind != "input" && kind != "output")) {
      throw std::runtime_error("reference: a line that begins with '" + kind + "'");
    } else {
      ReferenceCase& current = cases.back();
      (kind == "input" ? current.inputs : current.outputs)
          .push_back({name, read_tensor(dtype, dims, elements)});
    }
  }
  return cases;
}

}  // namespace slipstream::conformance
