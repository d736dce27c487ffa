// Runs every registered test, or those whose name contains an argument given on the command line.
#include <atomic>
#include <exception>
#include <mutex>

#include "harness.h"

namespace harness {
namespace {

std::atomic<int> failures{0};
std::mutex output_mutex;

}  // namespace

void report_failure(const char* file, int line, const std::string& what) {
  failures.fetch_add(1);
  const std::scoped_lock lock(output_mutex);
  std::cerr << file << ':' << line << ": check failed: " << what << '\n';
}

}  // namespace harness

int main(int argc, char** argv) {
  int passed = 0;
  int failed = 0;
  for (const auto& test : harness::registry()) {
    bool selected = argc == 1;
    for (int i = 1; i < argc; ++i) selected |= test.name.find(argv[i]) != std::string_view::npos;
    if (!selected) continue;
    const int before = harness::failures.load();
    try {
      test.run();
    } catch (const harness::RequirementFailed&) {
      std::cerr << test.name << ": stopped at a failed requirement\n";
    } catch (const std::exception& error) {
      harness::report_failure(__FILE__, __LINE__, std::string("uncaught: ") + error.what());
    }
    const bool ok = harness::failures.load() == before;
    std::cerr << (ok ? "ok   " : "FAIL ") << test.name << '\n';
    ++(ok ? passed : failed);
  }
  std::cout << passed << " passed, " << failed << " failed\n";
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
