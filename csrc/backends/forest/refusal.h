// Refusal: what a `refuse` step throws when it meets a row that the source library would raise for.
//
// The instance turns it into a Status of the execution; it goes no further.
// Ownership: the text belongs to the step, which outlives every call.
#pragma once

#include <exception>
#include <string>

namespace slipstream::forest {

class Refusal final : public std::exception {
 public:
  explicit Refusal(const std::string& text) noexcept : text_(&text) {}
  // Why, for whoever sent the row.
  [[nodiscard]] const std::string& text() const noexcept { return *text_; }
  [[nodiscard]] const char* what() const noexcept override { return text_->c_str(); }

 private:
  const std::string* text_;
};

}  // namespace slipstream::forest
