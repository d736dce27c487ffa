// A request's `data` into the model's input tensors: from JSON, from MessagePack, or from a tensor
// as bytes. All three obey one set of rules; the same request gives the same tensors.
//
// The bytes may be anything; nothing about them has been checked. Reads each byte of a good
// document once. Allocates in proportion to the document, whatever the document or the schema
// claim: at most about 4 bytes per byte for numbers, 8 for texts that stand for numbers, and 16 for
// strings (a "" is 32 bytes in memory), twice that in MessagePack, and twice that for a moment when
// a buffer grows.
//
// Threads: any, at once; the schema is only read. Ownership: the tensors own memory taken from
// `memory`, which must outlive them. Only where an `owner` was given may they view the bytes they
// came from instead; they share it then.
//
// Failure:
//   kMalformed          the bytes are not one JSON (or MessagePack) value: syntax, truncation,
//   invalid
//                       UTF-8, lone surrogates, a number beyond a double, keys that are no strings,
//                       nesting beyond max_depth. Holds wherever in the document the flaw is,
//                       whatever else is wrong with it.
//   kInvalidArgument    a value, but not this model's input: no rows, ragged rows, wrong width,
//   wrong
//                       kind of value, unknown or missing names, beyond a limit. The message names
//                       row and column (zero-based, by name where there is one) or the input and
//                       the index, and quotes at most 40 bytes of the document.
//   kResourceExhausted  `memory` has no more.
//   kInternal           the schema contradicts itself (kMatrix with two inputs, for example).
#pragma once

#include <memory>
#include <memory_resource>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/tensor.h"
#include "wire/input_schema.h"
#include "wire/raw_tensor.h"

namespace slipstream {

// Tensors in the order of schema.inputs, with all dynamic dimensions known.
//
// kMatrix: data is a list of rows, all of one form: lists of values (nested for rank > 2; for rank
// 1 the data is one flat list), or objects with exactly the schema's column names, in any order.
// kColumns: the same, with a tensor per column. kTensors: an object with exactly the inputs' names,
// each a nested list of the input's rank (a bare value for rank 0); the bare list or value is
// accepted where the model has one input. Dynamic inner dimensions of kTensors may be empty.
//
// Values by dtype. Floating point: a number, correctly rounded to double, then to the dtype (too
// large for it is an error); null is NaN where the schema accepts missing values. Integers: a
// number whose value is exactly integral (1, 1.0, 1e3) and in range. Bool: true, false, 0, 1.
// A list of numbers may be a string where the schema takes text: it stands for its UTF-8 bytes.
// String: a string; null is kMissingString where the schema accepts missing values.
[[nodiscard]] Result<std::vector<Tensor>> decode_inputs(std::string_view json,
                                                        const InputSchema& schema,
                                                        const DecodeLimits& limits,
                                                        std::pmr::memory_resource* memory) noexcept;

// The same values as MessagePack: nil for null, arrays for lists, maps with string keys for
// objects. Floating-point numbers that are NaN or infinite are values where the schema accepts
// missing values. Beyond JSON, all the data of a model, or an input by name, may be a raw tensor: a
// map of "dtype" (str), "shape" (array of integers) and "data" (bin), read as by decode_raw.
[[nodiscard]] Result<std::vector<Tensor>> decode_msgpack(
    std::string_view document, const std::shared_ptr<void>& owner, const InputSchema& schema,
    const DecodeLimits& limits, std::pmr::memory_resource* memory) noexcept;

// One tensor as little-endian bytes: the model's only input, or for kColumns a tensor of [rows,
// columns]. Not copied where it is of the input's dtype and aligned, `owner` is given, and the
// model drops no columns; else converted element by element as numbers are above. Bools are bytes
// of 0 and 1, and only for inputs that are bool. Strings have no binary form.
[[nodiscard]] Result<std::vector<Tensor>> decode_raw(const wire::RawTensor& raw,
                                                     const std::shared_ptr<void>& owner,
                                                     const InputSchema& schema,
                                                     const DecodeLimits& limits,
                                                     std::pmr::memory_resource* memory) noexcept;

}  // namespace slipstream
