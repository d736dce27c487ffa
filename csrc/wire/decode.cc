#include "wire/decode.h"

#include <new>
#include <string>
#include <utility>

#include "wire/decode_context.h"
#include "wire/json.h"
#include "wire/message.h"
#include "wire/msgpack.h"
#include "wire/name_index.h"
#include "wire/nested.h"
#include "wire/raw_decode.h"
#include "wire/table.h"

namespace slipstream {
namespace wire {
namespace {

std::vector<std::string_view> input_names(const InputSchema& schema) {
  std::vector<std::string_view> names;
  names.reserve(schema.inputs.size());
  for (const TensorSpec& input : schema.inputs) names.push_back(input.name);
  return names;
}

std::vector<std::string_view> column_names(const InputSchema& schema) {
  if (schema.column_names.empty()) return input_names(schema);
  return {schema.column_names.begin(), schema.column_names.end()};
}

// Whether the schema means anything; a mistake of whoever built it, not of the client.
Status check_schema(const InputSchema& schema) {
  const std::size_t names = schema.column_names.size();
  if (schema.inputs.empty()) return internal_error("the input schema has no inputs");
  if (schema.layout == Layout::kMatrix) {
    if (schema.inputs.size() != 1 || schema.inputs[0].dims.empty()) {
      return internal_error("a matrix schema needs exactly one input, of rank 1 or more");
    }
    const std::int64_t width = schema.matrix_width();
    if (names != 0 && width >= 0 && schema.inputs[0].dims.size() == 2 &&
        static_cast<std::size_t>(width) != names) {
      return internal_error("the matrix schema has " + std::to_string(names) + " names for " +
                            std::to_string(width) + " columns");
    }
  }
  if (schema.layout == Layout::kColumns) {
    if (names != 0 && names != schema.inputs.size()) {
      return internal_error("a columns schema needs one name per input");
    }
    for (const TensorSpec& input : schema.inputs) {
      const bool fits = input.dims.size() == 1 ||
                        (input.dims.size() == 2 && (input.dims[1] == 1 || input.dims[1] < 0));
      if (!fits) {
        return internal_error("column input " + quoted(input.name) +
                              " must have the shape [rows] or [rows, 1]");
      }
    }
  }
  return Status::ok();
}

// Reads a raw tensor where one stands, inside of `depth` objects; `failed` if what stands there is
// a wrong one.
template <class Format>
bool take_raw(DecodeContext& context, std::size_t depth, RawTensor& raw, bool& failed) {
  const RawForm form = Format::read_raw(context.cursor, raw);
  // Its shape is a list in an object. A wrong one need not be so deep.
  failed = form == RawForm::kRead && context.limits.max_depth < depth + 2;  // Format::check says so
  if (failed) return false;
  failed = form == RawForm::kWrong &&
           !context.fail(
               "a tensor is an object of dtype (a string), shape (a list of integers) and data "
               "(binary)");
  return form == RawForm::kRead;
}

bool read_raw_rows(DecodeContext& context, const RawTensor& raw, std::vector<Tensor>& tensors) {
  RawReader reader(context, raw);
  if (context.schema.layout == Layout::kColumns) {
    return reader.read_columns(column_names(context.schema), tensors);
  }
  tensors.resize(1);
  return reader.read_input(context.schema.inputs[0], Role::kRows, tensors[0]);
}

template <class Format>
bool read_input(DecodeContext& context, std::size_t input, std::size_t depth, Tensor& tensor) {
  const TensorSpec& spec = context.schema.inputs[input];
  RawTensor raw;
  bool failed = false;
  if (take_raw<Format>(context, depth, raw, failed)) {
    return RawReader(context, raw).read_input(spec, Role::kTensor, tensor);
  }
  return !failed && NestedReader<Format>(context, spec, Role::kTensor, depth).read(tensor);
}

// Whether the rows need a table: if the first one is an object, or to tell dropped columns apart.
// Where nobody needs that, lists of numbers are read sooner as a matrix.
template <class Format>
bool is_table(const DecodeContext& context) {
  const InputSchema& schema = context.schema;
  if (schema.layout == Layout::kColumns) return true;
  if (schema.column_names.empty() || schema.inputs[0].dims.size() != 2) return false;
  Cursor ahead = context.cursor;
  Format::skip_space(ahead);
  typename Format::Frame list;
  if (!Format::open_list(ahead, list) || !Format::has_item(ahead, list)) return false;
  return !schema.ignored.empty() || Format::kind(ahead) == ValueKind::kObject;
}

template <class Format>
bool read_rows(DecodeContext& context, std::vector<Tensor>& tensors) {
  RawTensor raw;
  bool failed = false;
  if (take_raw<Format>(context, 0, raw, failed)) return read_raw_rows(context, raw, tensors);
  if (failed) return false;
  if (is_table<Format>(context)) {
    return TableReader<Format>(context, column_names(context.schema)).read(tensors);
  }
  tensors.resize(1);
  return NestedReader<Format>(context, context.schema.inputs[0], Role::kRows, 0).read(tensors[0]);
}

// Behind the opening of an object.
template <class Format>
bool read_named_tensors(DecodeContext& context, typename Format::Frame& object,
                        std::vector<Tensor>& tensors) {
  Cursor& cursor = context.cursor;
  NameIndex names(input_names(context.schema));
  std::vector<char> seen(names.size(), 0);
  std::string scratch;
  if (context.limits.max_depth < 1) return false;  // as Format::check will say
  Next behind = Format::has_member(cursor, object) ? Next::kItem : Next::kEnd;
  for (std::size_t position = 0; behind == Next::kItem; ++position) {
    std::string_view key;
    if (!Format::read_key(cursor, scratch, key)) return false;
    const std::size_t input = names.find(key, position);
    if (input == NameIndex::kNone) {
      return context.fail("data has an unknown input " + quoted(key));
    }
    if (seen[input] != 0) return context.fail("input " + quoted(key) + " appears twice");
    seen[input] = 1;
    if (!Format::open_value(cursor)) return false;
    if (!read_input<Format>(context, input, 1, tensors[input])) return false;
    behind = Format::next_member(cursor, object);
  }
  if (behind == Next::kBroken) return false;
  for (std::size_t input = 0; input < seen.size(); ++input) {
    if (seen[input] == 0) {
      return context.fail("input " + quoted(names.name(input)) + " is missing");
    }
  }
  return true;
}

template <class Format>
bool read_tensors(DecodeContext& context, std::vector<Tensor>& tensors) {
  tensors.resize(context.schema.inputs.size());
  Format::skip_space(context.cursor);
  if (tensors.size() == 1) {
    RawTensor raw;
    bool failed = false;
    if (take_raw<Format>(context, 0, raw, failed)) {
      return RawReader(context, raw)
          .read_input(context.schema.inputs[0], Role::kTensor, tensors[0]);
    }
    if (failed) return false;
  }
  typename Format::Frame object;
  if (Format::open_object(context.cursor, object)) {
    return read_named_tensors<Format>(context, object, tensors);
  }
  if (tensors.size() == 1) return read_input<Format>(context, 0, 0, tensors[0]);
  const ValueKind kind = Format::kind(context.cursor);
  if (kind == ValueKind::kNone) return false;
  return context.fail("data must be an object with the model's " + std::to_string(tensors.size()) +
                      " inputs by name, got " + std::string(words_for(kind)));
}

template <class Format>
bool read_data(DecodeContext& context, std::vector<Tensor>& tensors) {
  return context.schema.layout == Layout::kTensors ? read_tensors<Format>(context, tensors)
                                                   : read_rows<Format>(context, tensors);
}

template <class Format>
Result<std::vector<Tensor>> decode(std::string_view document, const std::shared_ptr<void>& owner,
                                   const InputSchema& schema, const DecodeLimits& limits,
                                   std::pmr::memory_resource* memory) {
  if (Status status = check_schema(schema); !status.is_ok()) return status;
  DecodeContext context({document.data(), document.data() + document.size()}, schema, limits,
                        memory);
  context.owner = owner;
  std::vector<Tensor> tensors;
  if (read_data<Format>(context, tensors)) {
    Format::skip_space(context.cursor);
    if (context.cursor.at_end()) return tensors;
  }
  // What is no document is called so wherever the flaw is; only then does the model's view count.
  if (Status status = Format::check(document, limits.max_depth); !status.is_ok()) return status;
  if (!context.failure.is_ok()) return std::move(context.failure);
  return internal_error("the decoder stopped inside a valid document; please report it");
}

Result<std::vector<Tensor>> decode_bytes(const RawTensor& raw, const std::shared_ptr<void>& owner,
                                         const InputSchema& schema, const DecodeLimits& limits,
                                         std::pmr::memory_resource* memory) {
  if (Status status = check_schema(schema); !status.is_ok()) return status;
  DecodeContext context({nullptr, nullptr}, schema, limits, memory);
  context.owner = owner;
  std::vector<Tensor> tensors;
  bool done = false;
  if (schema.layout != Layout::kTensors) {
    done = read_raw_rows(context, raw, tensors);
  } else if (schema.inputs.size() == 1) {
    tensors.resize(1);
    done = RawReader(context, raw).read_input(schema.inputs[0], Role::kTensor, tensors[0]);
  } else {
    done = context.fail("the model has " + std::to_string(schema.inputs.size()) +
                        " inputs and a binary body holds one tensor; send MessagePack");
  }
  if (done) return tensors;
  return std::move(context.failure);
}

// Calls `decode_it`; nothing that it throws leaves. Both messages fit into the string itself, so
// that naming the failure cannot fail.
template <class Decode>
Result<std::vector<Tensor>> guarded(const Decode& decode_it) noexcept {
  try {
    return decode_it();
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  } catch (...) {
    return internal_error("decoder failed");
  }
}

}  // namespace
}  // namespace wire

Result<std::vector<Tensor>> decode_inputs(std::string_view json, const InputSchema& schema,
                                          const DecodeLimits& limits,
                                          std::pmr::memory_resource* memory) noexcept {
  return wire::guarded(
      [&] { return wire::decode<wire::Json>(json, nullptr, schema, limits, memory); });
}

Result<std::vector<Tensor>> decode_msgpack(std::string_view document,
                                           const std::shared_ptr<void>& owner,
                                           const InputSchema& schema, const DecodeLimits& limits,
                                           std::pmr::memory_resource* memory) noexcept {
  return wire::guarded(
      [&] { return wire::decode<wire::Msgpack>(document, owner, schema, limits, memory); });
}

Result<std::vector<Tensor>> decode_raw(const wire::RawTensor& raw,
                                       const std::shared_ptr<void>& owner,
                                       const InputSchema& schema, const DecodeLimits& limits,
                                       std::pmr::memory_resource* memory) noexcept {
  return wire::guarded([&] { return wire::decode_bytes(raw, owner, schema, limits, memory); });
}

}  // namespace slipstream
