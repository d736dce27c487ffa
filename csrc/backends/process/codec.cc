#include "backends/process/codec.h"

#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "backends/process/cursor.h"
#include "backends/process/protocol.h"

namespace slipstream::process {
namespace {

std::uint64_t payload_bytes(const Tensor& tensor) {
  if (tensor.dtype() != DType::kString) return tensor.bytes();
  std::uint64_t bytes = (static_cast<std::uint64_t>(tensor.elements()) + 1) * sizeof(std::uint64_t);
  for (const std::string& text : tensor.strings()) bytes += text.size();
  return bytes;
}

void write_strings(std::byte* payload, std::span<const std::string> texts) {
  std::byte* offsets = payload;
  std::byte* const blob = payload + (texts.size() + 1) * sizeof(std::uint64_t);
  std::uint64_t end = 0;
  std::memcpy(offsets, &end, sizeof(end));
  for (const std::string& text : texts) {
    std::memcpy(blob + end, text.data(), text.size());
    end += text.size();
    offsets += sizeof(end);
    std::memcpy(offsets, &end, sizeof(end));
  }
}

// The number of elements, or nothing if a dimension is negative or the product overflows.
std::optional<std::uint64_t> checked_elements(std::span<const std::int64_t> dims) {
  std::int64_t elements = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 0 || __builtin_mul_overflow(elements, dim, &elements)) return std::nullopt;
  }
  return static_cast<std::uint64_t>(elements);
}

bool read_strings(std::span<const std::byte> payload, std::span<std::string> texts) {
  Cursor offsets(payload);
  const std::span<const std::byte> table = offsets.take((texts.size() + 1) * sizeof(std::uint64_t));
  if (offsets.failed()) return false;
  const std::span<const std::byte> blob = payload.subspan(table.size());
  Cursor ends(table);
  auto begin = ends.read<std::uint64_t>();
  for (std::string& text : texts) {
    const auto end = ends.read<std::uint64_t>();
    if (begin > end || end > blob.size()) return false;
    text.resize(end - begin);
    std::memcpy(text.data(), blob.data() + begin, text.size());
    begin = end;
  }
  return true;
}

Status protocol_violation(const TensorSpec& spec, std::string_view what) {
  return internal_error("output '" + spec.name + "' " + std::string(what));
}

// The dimensions of one entry, or nothing if they do not fit the specification.
std::optional<Shape> read_shape(Cursor& directory, std::uint32_t rank, const TensorSpec& spec) {
  if (rank != spec.dims.size()) return std::nullopt;
  std::vector<std::int64_t> dims(rank);
  for (std::size_t axis = 0; axis < rank; ++axis) {
    dims[axis] = directory.read<std::int64_t>();
    if (spec.dims[axis] >= 0 && spec.dims[axis] != dims[axis]) return std::nullopt;
  }
  return Shape(dims);
}

Status read_one(std::span<const std::byte> body, Cursor& directory, const TensorSpec& spec,
                bool wanted, std::pmr::memory_resource* memory, Tensor& output) {
  const auto entry = directory.read<TensorEntry>();
  if (directory.failed()) return protocol_violation(spec, "is missing");
  output = Tensor{};
  if (entry.present == 0) {
    return wanted ? protocol_violation(spec, "was wanted and is missing") : Status::ok();
  }
  if (entry.dtype != static_cast<std::uint8_t>(spec.dtype)) {
    return protocol_violation(spec, "has another dtype than declared");
  }
  std::optional<Shape> shape = read_shape(directory, entry.rank, spec);
  if (directory.failed() || !shape) {
    return protocol_violation(spec, "has other dimensions than " + to_string(spec.dims));
  }
  const std::optional<std::uint64_t> elements = checked_elements(shape->dims());
  if (!elements || entry.offset > body.size() || entry.bytes > body.size() - entry.offset) {
    return protocol_violation(spec, "lies outside its message");
  }
  const std::span<const std::byte> payload = body.subspan(entry.offset, entry.bytes);
  // Before memory is allocated for them, the elements must be there: 8 bytes a string at least.
  const std::size_t wire_size =
      spec.dtype == DType::kString ? sizeof(std::uint64_t) : dtype_size(spec.dtype);
  if (*elements > payload.size() / wire_size ||
      (spec.dtype != DType::kString && payload.size() != *elements * wire_size)) {
    return protocol_violation(spec, "has a payload that does not match its dimensions");
  }
  Tensor tensor = Tensor::allocate(spec.dtype, *std::move(shape), memory);
  if (spec.dtype == DType::kString) {
    if (!read_strings(payload, tensor.strings())) {
      return protocol_violation(spec, "has string offsets outside its payload");
    }
  } else if (!payload.empty()) {
    std::memcpy(tensor.data(), payload.data(), payload.size());
  }
  output = std::move(tensor);
  return Status::ok();
}

Result<TensorSpec> read_tensor_spec(Cursor& cursor) {
  const auto entry = cursor.read<SpecEntry>();
  if (entry.dtype >= kDTypeCount || entry.rank > kMaxRank) {
    return internal_error("it declared a tensor of unknown dtype or of rank above " +
                          std::to_string(kMaxRank));
  }
  TensorSpec spec;
  spec.dtype = static_cast<DType>(entry.dtype);
  for (std::uint32_t axis = 0; axis < entry.rank; ++axis) {
    spec.dims.push_back(cursor.read<std::int64_t>());
    if (spec.dims.back() < -1) return internal_error("it declared a negative dimension");
  }
  const std::uint64_t padded = (std::uint64_t{entry.name_bytes} + 7) / 8 * 8;
  const std::span<const std::byte> name = cursor.take(padded);
  if (!cursor.failed() && !name.empty()) {
    spec.name.resize(entry.name_bytes);
    std::memcpy(spec.name.data(), name.data(), spec.name.size());
  }
  return spec;
}

Status check_batchable(const ModelSpec& spec) {
  if (!spec.batchable) return Status::ok();
  for (const auto* side : {&spec.inputs, &spec.outputs}) {
    for (const TensorSpec& tensor : *side) {
      if (tensor.dims.empty() || tensor.dims[0] != -1) {
        return internal_error(
            "its runner declares the model batchable, but the first dimension of "
            "tensor '" +
            tensor.name + "' " + to_string(tensor.dims) + " is not -1");
      }
    }
  }
  return Status::ok();
}

}  // namespace

Result<std::uint64_t> write_tensors(Segment& segment, std::span<const Tensor> tensors) {
  std::uint64_t directory_bytes = 0;
  for (const Tensor& tensor : tensors) {
    const std::size_t rank = tensor.shape().rank();
    if (rank > kMaxRank) {
      return invalid_argument("a tensor of rank " + std::to_string(rank) +
                              " cannot be given to a Python model: at most " +
                              std::to_string(kMaxRank));
    }
    directory_bytes += sizeof(TensorEntry) + rank * sizeof(std::int64_t);
  }
  std::uint64_t total = directory_bytes;
  for (const Tensor& tensor : tensors) total = align_payload(total) + payload_bytes(tensor);
  if (Status status = segment.reserve(total); !status.is_ok()) return status;

  std::byte* directory = segment.data();
  std::uint64_t end = directory_bytes;
  for (const Tensor& tensor : tensors) {
    const std::span<const std::int64_t> dims = tensor.shape().dims();
    TensorEntry entry;
    entry.dtype = static_cast<std::uint8_t>(tensor.dtype());
    entry.present = 1;
    entry.rank = static_cast<std::uint32_t>(dims.size());
    entry.offset = align_payload(end);
    entry.bytes = payload_bytes(tensor);
    end = entry.offset + entry.bytes;
    std::memcpy(directory, &entry, sizeof(entry));
    directory += sizeof(entry);
    if (!dims.empty()) std::memcpy(directory, dims.data(), dims.size_bytes());
    directory += dims.size_bytes();
    std::byte* const payload = segment.data() + entry.offset;
    if (tensor.dtype() == DType::kString) {
      write_strings(payload, tensor.strings());
    } else if (entry.bytes != 0) {
      std::memcpy(payload, tensor.data(), entry.bytes);
    }
  }
  return total;
}

Status read_tensors(std::span<const std::byte> body, const std::vector<TensorSpec>& specs,
                    const Execution& execution, std::vector<Tensor>& outputs) {
  outputs.resize(specs.size());
  Cursor directory(body);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    Status status =
        read_one(body, directory, specs[i], execution.wants(i), execution.memory, outputs[i]);
    if (!status.is_ok()) return status;
  }
  return Status::ok();
}

Result<ModelSpec> read_spec(std::span<const std::byte> body) {
  Cursor cursor(body);
  const auto header = cursor.read<SpecHeader>();
  if (header.inputs > kMaxTensors || header.outputs > kMaxTensors) {
    return internal_error("it declared more than " + std::to_string(kMaxTensors) +
                          " inputs or outputs");
  }
  ModelSpec spec;
  spec.batchable = header.batchable != 0;
  for (std::uint32_t i = 0; i < header.inputs + header.outputs && !cursor.failed(); ++i) {
    Result<TensorSpec> tensor = read_tensor_spec(cursor);
    if (!tensor.is_ok()) return tensor.status();
    (i < header.inputs ? spec.inputs : spec.outputs).push_back(std::move(tensor).value());
  }
  if (cursor.failed()) return internal_error("its specification is truncated");
  if (Status status = check_batchable(spec); !status.is_ok()) return status;
  return spec;
}

}  // namespace slipstream::process
