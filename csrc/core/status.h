// Status: how a call inside the core reports failure. No exception crosses a thread or a library
// boundary in slipstream; bindings and each HTTP error format translate a Status exactly once.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace slipstream {

enum class StatusCode : std::uint8_t {
  kOk = 0,
  kMalformed,           // the caller's bytes cannot be parsed at all (not JSON, too deep, 1e999)
  kInvalidArgument,     // well-formed but wrong (ragged rows, a string for a number)
  kNotFound,            // the named thing (file, model, library) is not there
  kFailedPrecondition,  // right call, wrong moment (a closed model, a missing package)
  kDeadlineExceeded,    // the request's absolute deadline passed before it was answered
  kCancelled,           // the caller withdrew the request
  kResourceExhausted,   // a bounded thing is full (queue, pool); retry later
  kUnavailable,         // temporarily unable (unloading, shutting down, a child that died)
  kInternal,            // a backend or slipstream itself failed
};

// The stable lower-case name of a code ("deadline_exceeded"), for logs, metrics and bindings.
[[nodiscard]] std::string_view status_code_name(StatusCode code) noexcept;

// A code and, unless it is kOk, a message that names the thing, the cause and the remedy.
class [[nodiscard]] Status {
 public:
  Status() noexcept = default;
  Status(StatusCode code, std::string message) noexcept
      : code_(code), message_(std::move(message)) {}

  static Status ok() noexcept { return {}; }

  [[nodiscard]] bool is_ok() const noexcept { return code_ == StatusCode::kOk; }
  [[nodiscard]] StatusCode code() const noexcept { return code_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

[[nodiscard]] inline Status malformed(std::string message) {
  return {StatusCode::kMalformed, std::move(message)};
}
[[nodiscard]] inline Status invalid_argument(std::string message) {
  return {StatusCode::kInvalidArgument, std::move(message)};
}
[[nodiscard]] inline Status not_found(std::string message) {
  return {StatusCode::kNotFound, std::move(message)};
}
[[nodiscard]] inline Status failed_precondition(std::string message) {
  return {StatusCode::kFailedPrecondition, std::move(message)};
}
[[nodiscard]] inline Status resource_exhausted(std::string message) {
  return {StatusCode::kResourceExhausted, std::move(message)};
}
[[nodiscard]] inline Status unavailable(std::string message) {
  return {StatusCode::kUnavailable, std::move(message)};
}
[[nodiscard]] inline Status internal_error(std::string message) {
  return {StatusCode::kInternal, std::move(message)};
}

// A value or the Status that says why there is none (std::expected arrives only in C++23).
template <class T>
class [[nodiscard]] Result {
 public:
  // Implicit on purpose: `return value;` and `return status;` are how functions answer.
  // NOLINTBEGIN(google-explicit-constructor)
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) noexcept : status_(std::move(status)) {
    assert(!status_.is_ok() && "a Result without a value needs a reason");
  }
  // NOLINTEND(google-explicit-constructor)

  [[nodiscard]] bool is_ok() const noexcept { return value_.has_value(); }
  [[nodiscard]] const Status& status() const noexcept { return status_; }
  [[nodiscard]] T& value() & noexcept {
    assert(is_ok());
    return *value_;
  }
  [[nodiscard]] const T& value() const& noexcept {
    assert(is_ok());
    return *value_;
  }
  [[nodiscard]] T&& value() && noexcept {
    assert(is_ok());
    return *std::move(value_);
  }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace slipstream
