// Commands: what the driver can be told, one line each, fields set apart by tabs.
//
//   pin CPU                            this thread and those it starts later run there only
//   data NAME F64 F32 ROWS COLUMNS     raw matrix files, see matrix.h
//   load NAME KIND KEY=VALUE…          a rival: artifact, library, threads, features, and extras;
//                                      answers the element type and the values per row
//   time NAME DATA BATCH CALLS         CALLS batches, going through the rows again and again;
//                                      answers nanoseconds
//   answer NAME DATA BATCH FILE        writes the answers to all rows as raw float64
//   drop NAME                          unloads a rival
//
// The answer is one line: "ok" and values, or "error" and a text.
// Threads: one. Ownership: holds all that was loaded. Failure: execute() answers "error …".
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "matrix.h"
#include "rival.h"

namespace slipstream::bench {

class Commands {
 public:
  // Never throws: a failure is an answer.
  [[nodiscard]] std::string execute(const std::string& line) noexcept;

 private:
  using Fields = std::vector<std::string>;

  struct Loaded {
    std::unique_ptr<Rival> rival;
    std::size_t next_row = 0;  // where the next timed batch starts
  };

  std::string dispatch(const Fields& fields);
  std::string load(const Fields& fields);
  std::string time(const Fields& fields);
  std::string answer(const Fields& fields);
  [[nodiscard]] Loaded& rival(const std::string& name);
  [[nodiscard]] const Matrix& data(const std::string& name) const;

  std::map<std::string, Loaded> rivals_;
  std::map<std::string, std::unique_ptr<Matrix>> data_;
};

}  // namespace slipstream::bench
