// Tensors and strings as JSON and as MessagePack, appended to a caller's buffer.
//
// Threads: any, at once, each with its own `out`. Failure: std::bad_alloc from growing `out` is the
// only exception; `out` then holds an unfinished value and must be discarded.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/tensor.h"

namespace slipstream {

// Nested lists in the tensor's shape; a rank-0 tensor as a bare value. Numbers are the shortest
// text that reads back as the same value of the tensor's own type (float16 and bfloat16 as
// float32); floating-point values always show a '.' or an 'e', so that a reader keeps them
// floating-point. NaN and infinities are null. Strings as in encode_string.
void encode_tensor(const Tensor& tensor, std::string& out);

// The same for a tensor of anything but strings, into memory of numbers_bound() bytes; returns the
// end. For answers that are written where they will stay. The bound is about 26 bytes an element.
[[nodiscard]] std::size_t numbers_bound(const Tensor& tensor);
[[nodiscard]] char* encode_numbers(const Tensor& tensor, char* out) noexcept;

// Class labels: each position in `indices` (an integer or bool tensor, usually [n]) becomes
// labels_json[position], which must be valid JSON; a position outside is null, as is every element
// of a tensor of another dtype. Lists are nested in the tensor's shape.
void encode_labels(const Tensor& indices, std::span<const std::string> labels_json,
                   std::string& out);

// The same as MessagePack: arrays for lists, nil for null (NaN and infinities too, as in JSON).
// Integers take as few bytes as they can, float64 is float64; float32 and the smaller types are
// float32, the same value to the last bit. Precondition: no dimension reaches 2^32.
void encode_tensor_msgpack(const Tensor& tensor, std::string& out);

// As numbers_bound() and encode_numbers(); 9 bytes an element.
[[nodiscard]] std::size_t numbers_bound_msgpack(const Tensor& tensor);
[[nodiscard]] char* encode_numbers_msgpack(const Tensor& tensor, char* out) noexcept;

// Class labels as in encode_labels; labels_msgpack[position] must be valid MessagePack. The same
// precondition.
void encode_labels_msgpack(const Tensor& indices, std::span<const std::string> labels_msgpack,
                           std::string& out);

// A JSON string in quotes. Invalid UTF-8 is replaced by U+FFFD, one per maximal broken sequence;
// kMissingString is null.
void encode_string(std::string_view text, std::string& out);

}  // namespace slipstream
