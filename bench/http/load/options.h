// Options: what to send, over how many connections, in what rhythm; read from the command line.
//
//   http_load --connect 127.0.0.1:8000 | unix:PATH [--seconds S] [--warmup S] [--drain S]
//             [--idle N] [--coalesce-us N] [--turn-ms N]
//             --class NAME KEY=VALUE... [--class NAME KEY=VALUE...]
//
// Threads: one. Ownership: values. Failure: parse_options() throws LoadError.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace slipstream::load {

enum class Rhythm {
  kClosed,   // a connection sends again as soon as it has its answer
  kUniform,  // open loop, the same time between arrivals
  kPoisson,  // open loop, exponential times
  kGamma,    // open loop, gamma times: bursts where the shape is below 1
};

struct ClassOptions {
  std::string name;
  std::string requests;  // requests=FILE, see requests.h
  std::string answers;   // answers=FILE: where answers are written for the caller to check
  std::string key;       // key=NAME: the JSON key whose value is the answer; none: whole bodies
  std::size_t connections = 1;
  Rhythm rhythm = Rhythm::kClosed;  // arrivals=closed|uniform|poisson|gamma
  double rate = 0;                  // rate=N arrivals a second, of an open loop
  double shape = 0.25;              // shape=K of the gamma distribution
  std::uint64_t seed = 1;
  double deadline_ms = 0;    // answers later than this are not counted as in time; 0: all are
  std::size_t variants = 1;  // different answers to one body that the caller is ready to check
};

struct Options {
  std::string connect;
  double seconds = 2;
  double warmup_s = 0.3;
  double drain_s = 5;
  std::size_t idle = 0;  // connections that send one request at the start and are kept open
  // Looks at its sockets and sends no more often than that; 0: at once. A generator that shares the
  // server's cores interrupts what runs there with every request it sends, which one on another
  // machine does not: network cards coalesce their interrupts. Its wait counts as latency.
  double coalesce_us = 0;
  // Longest turn of this thread that the kernel is asked for; 0: its own. With short ones a
  // generator that wakes need not wait for who computes on the same core, and its own delays are no
  // part of what it measures (core/this_thread.h).
  double turn_ms = 0;
  std::vector<ClassOptions> classes;
};

[[nodiscard]] Options parse_options(const std::vector<std::string>& words);

}  // namespace slipstream::load
