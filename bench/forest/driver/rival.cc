#include "rival.h"

#include <array>
#include <utility>

namespace slipstream::bench {

const std::string& LoadOptions::require(const std::string& name) const {
  const auto found = extra.find(name);
  if (found == extra.end()) throw BenchError("load needs the option " + name + "=…");
  return found->second;
}

std::unique_ptr<Rival> make_rival(std::string_view kind, const LoadOptions& options) {
  using Make = std::unique_ptr<Rival> (*)(const LoadOptions&);
  static constexpr std::array<std::pair<std::string_view, Make>, 8> kKinds{{
      {"gtil", make_gtil},
      {"lightgbm", make_lightgbm},
      {"lignum", make_lignum},
      {"lleaves", make_lleaves},
      {"onnxruntime", make_onnxruntime},
      {"slipstream", make_slipstream},
      {"tl2cgen", make_tl2cgen},
      {"xgboost", make_xgboost},
  }};
  for (const auto& [name, make] : kKinds) {
    if (name == kind) return make(options);
  }
  throw BenchError("no rival of kind '" + std::string(kind) + "'");
}

}  // namespace slipstream::bench
