#include "backends/tensorrt/told.h"

#include <mutex>
#include <new>
#include <utility>

namespace slipstream::tensorrt {
namespace {

constexpr std::size_t kMostMessages = 8;
constexpr std::size_t kLongestMessage = 500;

thread_local Told* innermost = nullptr;

void keep(std::vector<std::string>& messages, const char* text) noexcept {
  try {
    if (messages.size() == kMostMessages) return;  // the first ones are the cause
    messages.emplace_back(std::string_view(text).substr(0, kLongestMessage));
  } catch (const std::bad_alloc&) {
    return;  // a message that is lost must not end the process
  }
}

std::string joined(const std::vector<std::string>& messages) {
  std::string text;
  for (const std::string& message : messages) {
    if (!text.empty()) text += "; ";
    text += message;
  }
  return text;
}

}  // namespace

class ProcessLog final : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const char* text) noexcept override {
    if (text == nullptr || severity > Severity::kWARNING) return;
    const bool is_error = severity < Severity::kWARNING;
    if (innermost != nullptr) {
      keep(is_error ? innermost->errors_ : innermost->warnings_, text);
    } else if (is_error) {
      const std::scoped_lock lock(mutex_);
      keep(elsewhere_, text);
    }
  }

  std::string take_elsewhere() {
    const std::scoped_lock lock(mutex_);
    return joined(std::exchange(elsewhere_, {}));
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> elsewhere_;  // errors of threads that nobody listens on
};

namespace {

ProcessLog& process_log() {
  static ProcessLog* const log = new ProcessLog();  // never destroyed: TensorRT's threads log late
  return *log;
}

}  // namespace

Told::Told() noexcept : outer_(std::exchange(innermost, this)) {}

Told::~Told() {
  innermost = outer_;
}

std::string Told::text() const {
  if (!errors_.empty()) return joined(errors_);
  std::string elsewhere = process_log().take_elsewhere();
  return elsewhere.empty() ? joined(warnings_) : elsewhere;
}

nvinfer1::ILogger& Told::log() noexcept {
  return process_log();
}

}  // namespace slipstream::tensorrt
