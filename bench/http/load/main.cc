// The load generator: sends prepared requests, counts and times every answer, prints one line of
// JSON (options.h lists what it understands).
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>

#include "core/this_thread.h"
#include "options.h"
#include "report.h"
#include "runner.h"

int main(int count, char** words) {
  using slipstream::load::Runner;
  try {
    const auto options = slipstream::load::parse_options({words + 1, words + count});
    if (options.turn_ms > 0) {
      const auto turn = std::chrono::nanoseconds(std::llround(options.turn_ms * 1e6));
      (void)slipstream::shorten_turns(gettid(), turn);  // older kernels have no such thing
    }
    Runner runner(options);
    runner.run();
    for (const auto& traffic : runner.traffics()) {
      const auto& file = traffic->options().answers;
      if (!file.empty()) traffic->answers().write(file);
    }
    std::printf("%s\n", slipstream::load::report(runner).c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "http_load: %s\n", error.what());
    return 1;
  }
  return 0;
}
