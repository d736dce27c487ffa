// A test harness in one header: C++ test frameworks are not on the package index, and the build
// promises to need nothing else. TEST registers, CHECK goes on after a failure, REQUIRE leaves.
#pragma once

#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace harness {

struct TestCase {
  std::string_view name;
  void (*run)();
};

inline std::vector<TestCase>& registry() {
  static std::vector<TestCase> tests;
  return tests;
}

struct Registrar {
  Registrar(std::string_view name, void (*run)()) { registry().push_back({name, run}); }
};

// Failed checks so far, in all tests of the process. Checks may run on any thread.
void report_failure(const char* file, int line, const std::string& what);

struct RequirementFailed {};

template <class T>
std::string show(const T& value) {
  if constexpr (requires(std::ostream& out) { out << value; }) {
    std::ostringstream out;
    out << value;
    return out.str();
  } else {
    return "<value>";
  }
}

template <class A, class B>
bool check_eq(const A& a, const B& b, const char* a_text, const char* b_text, const char* file,
              int line) {
  if (a == b) return true;
  report_failure(file, line,
                 std::string(a_text) + " == " + b_text + "  (" + show(a) + " vs " + show(b) + ")");
  return false;
}

inline bool check(bool ok, const char* text, const char* file, int line) {
  if (!ok) report_failure(file, line, text);
  return ok;
}

}  // namespace harness

#define TEST(name)                                                       \
  static void test_##name();                                             \
  static const harness::Registrar registrar_##name{#name, &test_##name}; \
  static void test_##name()

#define CHECK(condition) \
  (void)harness::check(static_cast<bool>(condition), #condition, __FILE__, __LINE__)
#define CHECK_EQ(a, b) (void)harness::check_eq((a), (b), #a, #b, __FILE__, __LINE__)
#define REQUIRE(condition)                                                             \
  do {                                                                                 \
    if (!harness::check(static_cast<bool>(condition), #condition, __FILE__, __LINE__)) \
      throw harness::RequirementFailed{};                                              \
  } while (false)
