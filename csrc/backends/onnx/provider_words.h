// What NVIDIA's providers are told in words of their own: by an operator (option
// `provider_options`) and, where he says nothing, by us.
//
// Pure functions. Threads: any. Failure: throws std::bad_alloc.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "backends/onnx/options.h"
#include "backends/onnx/providers.h"
#include "core/backend.h"

namespace slipstream::onnx {

using Words = std::map<std::string, std::string>;

// `told` by the operator, and what he left open.
[[nodiscard]] Words cuda_words(const ProviderContext& context, Words told);
[[nodiscard]] Words tensorrt_words(const ProviderContext& context, Words told);

// The most rows of a batch that TensorRT's engines are built for; 0: there is no such number.
[[nodiscard]] std::int64_t most_rows(const OnnxOptions& options, const ModelSpec& spec);

}  // namespace slipstream::onnx
