#include "wire/decode.h"

#include <new>
#include <string>
#include <utility>

#include "wire/decode_context.h"
#include "wire/message.h"
#include "wire/name_index.h"
#include "wire/nested.h"
#include "wire/skip.h"
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

bool read_nested(DecodeContext& context, std::size_t input, NestedReader::Role role,
                 std::size_t depth, Tensor& tensor) {
  return NestedReader(context, context.schema.inputs[input], role, depth).read(tensor);
}

bool read_matrix(DecodeContext& context, std::vector<Tensor>& tensors) {
  // Rows are objects if the first one is. Tables tell columns apart; where nobody needs that, lists
  // of numbers are read sooner as a matrix.
  Cursor ahead = context.cursor;
  skip_space(ahead);
  const bool opened = take(ahead, '[');
  skip_space(ahead);
  const bool named =
      !context.schema.column_names.empty() && context.schema.inputs[0].dims.size() == 2;
  if (opened && named && (ahead.peek() == '{' || !context.schema.ignored.empty())) {
    return TableReader(context, column_names(context.schema)).read(tensors);
  }
  tensors.resize(1);
  return read_nested(context, 0, NestedReader::Role::kRows, 0, tensors[0]);
}

bool read_named_tensors(DecodeContext& context, std::vector<Tensor>& tensors) {
  Cursor& cursor = context.cursor;
  NameIndex names(input_names(context.schema));
  std::vector<char> seen(names.size(), 0);
  std::string scratch;
  ++cursor.next;
  skip_space(cursor);
  if (context.limits.max_depth < 1) return false;  // as check_json will say
  bool closed = take(cursor, '}');
  for (std::size_t position = 0; !closed; ++position) {
    std::string_view key;
    if (cursor.peek() != '"' || read_string(cursor, scratch, key) != nullptr) return false;
    const std::size_t input = names.find(key, position);
    if (input == NameIndex::kNone) {
      return context.fail("data has an unknown input " + quoted(key));
    }
    if (seen[input] != 0) return context.fail("input " + quoted(key) + " appears twice");
    seen[input] = 1;
    skip_space(cursor);
    if (!take(cursor, ':')) return false;
    skip_space(cursor);
    if (!read_nested(context, input, NestedReader::Role::kTensor, 1, tensors[input])) return false;
    skip_space(cursor);
    closed = take(cursor, '}');
    if (!closed && !take(cursor, ',')) return false;
    skip_space(cursor);
  }
  for (std::size_t input = 0; input < seen.size(); ++input) {
    if (seen[input] == 0) {
      return context.fail("input " + quoted(names.name(input)) + " is missing");
    }
  }
  return true;
}

bool read_tensors(DecodeContext& context, std::vector<Tensor>& tensors) {
  tensors.resize(context.schema.inputs.size());
  skip_space(context.cursor);
  if (context.cursor.peek() == '{') return read_named_tensors(context, tensors);
  if (tensors.size() == 1) {
    return read_nested(context, 0, NestedReader::Role::kTensor, 0, tensors[0]);
  }
  if (fault_of_other_kind(context.cursor) == Fault::kSyntax) return false;
  return context.fail("data must be an object with the model's " + std::to_string(tensors.size()) +
                      " inputs by name, got " + std::string(kind_of_value(context.cursor)));
}

bool read_data(DecodeContext& context, std::vector<Tensor>& tensors) {
  switch (context.schema.layout) {
    case Layout::kMatrix:
      return read_matrix(context, tensors);
    case Layout::kColumns:
      return TableReader(context, column_names(context.schema)).read(tensors);
    case Layout::kTensors:
      break;
  }
  return read_tensors(context, tensors);
}

Result<std::vector<Tensor>> decode(std::string_view json, const InputSchema& schema,
                                   const DecodeLimits& limits, std::pmr::memory_resource* memory) {
  if (Status status = check_schema(schema); !status.is_ok()) return status;
  DecodeContext context({json.data(), json.data() + json.size()}, schema, limits, memory);
  std::vector<Tensor> tensors;
  if (read_data(context, tensors)) {
    skip_space(context.cursor);
    if (context.cursor.at_end()) return tensors;
  }
  // What is not JSON is called so wherever the flaw is; only then does the model's view count.
  if (Status status = check_json(json, limits.max_depth); !status.is_ok()) return status;
  if (!context.failure.is_ok()) return std::move(context.failure);
  return internal_error("the decoder stopped inside valid JSON; please report this document");
}

}  // namespace
}  // namespace wire

Result<std::vector<Tensor>> decode_inputs(std::string_view json, const InputSchema& schema,
                                          const DecodeLimits& limits,
                                          std::pmr::memory_resource* memory) noexcept {
  // Both messages fit into the string itself, so that naming the failure cannot fail.
  try {
    return wire::decode(json, schema, limits, memory);
  } catch (const std::bad_alloc&) {
    return resource_exhausted("out of memory");
  } catch (...) {
    return internal_error("decoder failed");
  }
}

}  // namespace slipstream
