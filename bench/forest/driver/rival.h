// Rival: one loaded model of one library, asked for the probabilities of a batch of rows.
//
// Use: make_rival() by the library's name, predict() as often as wanted (that is what is timed),
// answers() for what the last call gave. A rival is asked exactly for what its own users ask: rows
// in the element type it takes, answers in buffers that live as long as it does. Whatever its C
// interface demands for each call (an array described as JSON, a tensor object) is its time.
// Threads: one at a time. Ownership: a rival owns everything it made. Failure: BenchError.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace slipstream::bench {

// Ends the command that was being carried out; the text goes to whoever gave it.
class BenchError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class Element { kFloat32, kFloat64 };

// How a model is loaded.
struct LoadOptions {
  std::string artifact;  // the file that the library reads
  std::string library;   // the shared library to open; empty where the artifact is one itself
  int threads = 1;
  int features = 0;  // columns of the rows that will come
  std::map<std::string, std::string> extra;

  // The extra option `name`. Throws BenchError where it is missing.
  [[nodiscard]] const std::string& require(const std::string& name) const;
};

class Rival {
 public:
  Rival() = default;
  Rival(const Rival&) = delete;
  Rival& operator=(const Rival&) = delete;
  virtual ~Rival() = default;

  [[nodiscard]] virtual Element element() const = 0;
  // Values per row that answers() gives.
  [[nodiscard]] virtual std::size_t outputs() const = 0;
  // Room for batches of up to `rows`, made before anything is timed.
  virtual void reserve(std::size_t rows) = 0;
  // Computes `count` rows, row-major, of element().
  virtual void predict(const void* rows, std::size_t count) = 0;
  // Copies what the last predict() of `count` rows gave.
  virtual void answers(std::size_t count, std::span<double> out) const = 0;
};

// Throws BenchError: no such kind, or the library refuses the artifact.
[[nodiscard]] std::unique_ptr<Rival> make_rival(std::string_view kind, const LoadOptions& options);

std::unique_ptr<Rival> make_gtil(const LoadOptions& options);
std::unique_ptr<Rival> make_lightgbm(const LoadOptions& options);
std::unique_ptr<Rival> make_lignum(const LoadOptions& options);
std::unique_ptr<Rival> make_lleaves(const LoadOptions& options);
std::unique_ptr<Rival> make_onnxruntime(const LoadOptions& options);
std::unique_ptr<Rival> make_slipstream(const LoadOptions& options);
std::unique_ptr<Rival> make_tl2cgen(const LoadOptions& options);
std::unique_ptr<Rival> make_xgboost(const LoadOptions& options);

}  // namespace slipstream::bench
