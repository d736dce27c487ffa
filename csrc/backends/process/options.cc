#include "backends/process/options.h"

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string_view>
#include <utility>

#include "backends/process/protocol.h"
#include "core/option_reader.h"

namespace slipstream::process {
namespace {

using Environment = std::map<std::string, std::string, std::less<>>;

constexpr std::string_view kRunnerPrefix = "runner.";
constexpr std::string_view kEnvironmentPrefix = "env.";
constexpr std::int64_t kMaxTimeoutMs = 24LL * 3600 * 1000;
constexpr std::int64_t kMaxMessageMb = 64LL * 1024;
constexpr std::int64_t kMaxMemoryMb = 64LL * 1024 * 1024;

constexpr const char* kThreadPools[] = {"OMP_NUM_THREADS",     "OPENBLAS_NUM_THREADS",
                                        "MKL_NUM_THREADS",     "BLIS_NUM_THREADS",
                                        "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS"};

// Whether a list of names, and of beginnings of names that end with a star, has this name.
bool is_listed(std::string_view name, std::string_view list) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view entry = list.substr(0, comma);
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    if (entry.ends_with('*')) {
      entry.remove_suffix(1);
      if (name.starts_with(entry)) return true;
    } else if (name == entry) {
      return true;
    }
  }
  return false;
}

// Only what is listed: a worker runs code that is not ours, and nobody could list all secrets.
Environment inherited_environment(std::string_view listed) {
  Environment result;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=', 1);
    if (equals != std::string_view::npos && is_listed(text.substr(0, equals), listed)) {
      result.insert_or_assign(std::string(text.substr(0, equals)), text.substr(equals + 1));
    }
  }
  for (const char* name : kThreadPools) result.insert_or_assign(name, "1");
  return result;
}

bool is_keyed_by(std::string_view key, std::string_view prefix) {
  return key.size() > prefix.size() && key.starts_with(prefix) &&
         key.find('=') == std::string_view::npos;
}

bool is_runner_name(std::string_view text) {
  const std::size_t colon = text.find(':');
  return colon != std::string_view::npos && colon != 0 && colon + 1 != text.size();
}

Status refuse_nul(const ModelConfig& config) {
  if (config.path.find('\0') != std::string::npos) {
    return invalid_argument("process backend: the model's path holds a NUL character");
  }
  for (const auto& [key, value] : config.options) {
    if ((key + value).find('\0') != std::string::npos) {
      return invalid_argument("process backend: option '" + key + "' holds a NUL character");
    }
  }
  return Status::ok();
}

// What the options say before it becomes a command line.
struct Parsed {
  Launch launch;
  Environment environment;
  std::string runner;
  std::int64_t memory_limit_mb = 0;  // 0: none
  std::vector<std::string> runner_options;
};

Status parse(const std::map<std::string, std::string>& options, Parsed& parsed) {
  std::map<std::string, std::string> plain;
  for (const auto& [key, value] : options) {
    if (is_keyed_by(key, kRunnerPrefix)) {
      parsed.runner_options.push_back(key.substr(kRunnerPrefix.size()) + "=" + value);
    } else if (is_keyed_by(key, kEnvironmentPrefix)) {
      parsed.environment.insert_or_assign(key.substr(kEnvironmentPrefix.size()), value);
    } else {
      plain.emplace(key, value);
    }
  }
  OptionReader reader("process", plain);
  Launch& launch = parsed.launch;
  launch.python = reader.required_text("python", "it is the path of a Python interpreter");
  parsed.runner = reader.required_text("runner", "it names module:callable");
  if (!parsed.runner.empty() && !is_runner_name(parsed.runner)) {
    reader.reject("runner", parsed.runner, "of the form module:callable");
  }
  (void)reader.text("inherit");  // make_launch has read it: what is said here goes on top
  if (const auto path = reader.text("python_path"); path && !path->empty()) {
    std::string& inherited = parsed.environment["PYTHONPATH"];
    inherited = inherited.empty() ? *path : *path + ":" + inherited;
  }
  const auto milliseconds = [&reader](std::string_view key, std::chrono::milliseconds fallback) {
    return std::chrono::milliseconds(reader.integer(key, fallback.count(), 1, kMaxTimeoutMs));
  };
  const auto to_mb = static_cast<std::int64_t>(launch.max_message_bytes >> 20);
  launch.execute_timeout = milliseconds("execute_timeout_ms", launch.execute_timeout);
  launch.start_timeout = milliseconds("start_timeout_ms", launch.start_timeout);
  launch.max_message_bytes =
      static_cast<std::size_t>(reader.integer("max_message_mb", to_mb, 1, kMaxMessageMb)) << 20;
  parsed.memory_limit_mb = reader.integer("memory_limit_mb", 0, 1, kMaxMemoryMb);
  return reader.finish();
}

// -P keeps the working directory, where anybody may leave a numpy.py, out of the module path.
void build_command(const std::string& artifact, Parsed& parsed) {
  Launch& launch = parsed.launch;
  launch.arguments = {launch.python,
                      "-P",
                      "-m",
                      "slipstream.worker",
                      "--protocol=" + std::to_string(kProtocolVersion),
                      "--socket-fd=" + std::to_string(kSocketFd),
                      "--request-fd=" + std::to_string(kRequestFd),
                      "--response-fd=" + std::to_string(kResponseFd),
                      "--lifeline-fd=" + std::to_string(kLifelineFd),
                      "--max-message-bytes=" + std::to_string(launch.max_message_bytes),
                      "--runner=" + parsed.runner,
                      "--artifact=" + artifact};
  if (parsed.memory_limit_mb != 0) {
    launch.arguments.push_back("--memory-limit-mb=" + std::to_string(parsed.memory_limit_mb));
  }
  for (const std::string& option : parsed.runner_options) {
    launch.arguments.push_back("--runner-option=" + option);
  }
  for (const auto& [name, value] : parsed.environment) {
    launch.environment.push_back(name);
    launch.environment.back().append("=").append(value);
  }
}

}  // namespace

Result<Launch> make_launch(const ModelConfig& config) {
  if (Status status = refuse_nul(config); !status.is_ok()) return status;
  Parsed parsed;
  const auto inherit = config.options.find("inherit");
  parsed.environment = inherited_environment(
      inherit == config.options.end() ? std::string_view{} : std::string_view(inherit->second));
  if (Status status = parse(config.options, parsed); !status.is_ok()) return status;
  // Without its folder: the text reaches clients, and where the server keeps artifacts is its own.
  const std::string name =
      config.name.empty() ? std::filesystem::path(config.path).filename().string() : config.name;
  parsed.launch.model = "'" + name + "' (runner " + parsed.runner + ")";
  build_command(config.path, parsed);
  return std::move(parsed.launch);
}

}  // namespace slipstream::process
