#include "backends/tensorrt/refusal.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <string_view>

namespace slipstream::tensorrt {
namespace {

bool mentions_any(const std::string& lower, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(
      words, [&lower](std::string_view word) { return lower.find(word) != std::string::npos; });
}

std::string lower_of(std::string text) {
  std::ranges::transform(text, text.begin(), [](char letter) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  });
  return text;
}

std::string name_of(const RuntimeFacts& runtime) {
  return std::string(runtime.is_lean ? "TensorRT's lean runtime " : "TensorRT ") +
         to_string(runtime.version) + " (" + runtime.library + ")";
}

}  // namespace

std::string in_its_words(const std::string& told) {
  return told.empty() ? std::string() : ". TensorRT says: " + told;
}

Status refused(const std::string& file, const std::string& what, const std::string& told) {
  return internal_error("tensorrt backend: " + file + ": " + what + in_its_words(told));
}

Status why_not_deserialized(const std::string& file, const PlanHeader& header,
                            const RuntimeFacts& runtime, const std::string& told) {
  const std::string lower = lower_of(told);
  const std::string builder =
      header.built_by ? "built by TensorRT " + to_string(*header.built_by) : "of an unknown layout";
  const std::string begin = "tensorrt backend: " + file + ", a plan " + builder +
                            ", does not load with " + name_of(runtime) + " on " + runtime.device;
  const std::string end = in_its_words(told);
  if (mentions_any(lower, {"outofmemory", "out of memory"})) {
    return resource_exhausted(begin + ": the device has not memory for it; unload another model" +
                              end);
  }
  if (mentions_any(lower, {"host code", "hostcode"})) {
    return failed_precondition(begin +
                               ": it brings code for the host, as plans do that are version "
                               "compatible, and this server runs none that it did not compile: set "
                               "ALLOW_CUSTOM_CODE=True if everything in the model directory is "
                               "yours, or build it with EXCLUDE_LEAN_RUNTIME" +
                               end);
  }
  if (mentions_any(lower, {"incompatible device", "compute capability", "different platform",
                           "platform specific", "expecting compute"})) {
    return failed_precondition(begin +
                               ": it was built for another GPU or system; convert the model again "
                               "on this machine" +
                               end);
  }
  if (header.built_by && !(*header.built_by == runtime.version)) {
    return failed_precondition(
        begin +
        ": a plan runs on the version that built it, or, built with version_compatible, on later "
        "ones; convert the model again on this machine, or install tensorrt-cu13==" +
        to_string(*header.built_by) + ".*" + end);
  }
  if (runtime.is_lean) {
    return failed_precondition(begin +
                               ": the lean runtime takes plans that were built with "
                               "version_compatible; build it so, or install tensorrt-cu13" +
                               end);
  }
  return invalid_argument(begin +
                          ": the file is damaged, or was built for another GPU; copy it again, or "
                          "convert the model again on this machine" +
                          end);
}

}  // namespace slipstream::tensorrt
