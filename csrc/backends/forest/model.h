// ForestModel: a forest file, mapped and checked, with its trees compiled; shared by all instances.
//
// Threads: any; only the spare workspaces and the learned cost of a row change after load.
// Ownership: instances are destroyed before the model. Failure: see load.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "backends/forest/layout.h"
#include "backends/forest/options.h"
#include "backends/forest/plan.h"
#include "backends/forest/program.h"
#include "backends/forest/workspace.h"
#include "core/backend.h"
#include "core/mapped_file.h"
#include "core/stats/relaxed_counter.h"

namespace slipstream::forest {

class ForestModel final : public Model {
 public:
  // Throws std::bad_alloc.
  //   kNotFound         no file can be read at the path
  //   kInvalidArgument  a bad option; a file that is no forest file, is damaged, or says what
  //   cannot
  //                     be: the message names the part
  [[nodiscard]] static Result<std::unique_ptr<Model>> load(const ModelConfig& config);

  // The file's bytes are mapped or otherwise kept alive by `file`; `program` refers to them.
  ForestModel(MappedFile file, Program program, Layout layout, std::size_t threads);

  [[nodiscard]] const ModelSpec& spec() const noexcept override { return spec_; }
  [[nodiscard]] Result<std::unique_ptr<Instance>> create_instance() noexcept override;

  [[nodiscard]] const Program& program() const noexcept { return program_; }
  [[nodiscard]] const Layout& layout() const noexcept { return layout_; }
  [[nodiscard]] std::size_t threads() const noexcept { return threads_; }

  // Nanoseconds that a row of a batch takes on one thread; 0 until something was measured.
  [[nodiscard]] double row_ns() const noexcept { return row_ns_.value(); }
  void learn_row_ns(double measured) noexcept;

  // Workspaces for helpers, which come and go: never more than threads ever helped at once. Borrow
  // throws std::bad_alloc; what was borrowed is given back.
  [[nodiscard]] std::unique_ptr<Workspace> borrow_workspace();
  void give_back(std::unique_ptr<Workspace> workspace) noexcept;

 private:
  const MappedFile file_;
  const Program program_;
  const Layout layout_;
  const std::size_t threads_;
  ModelSpec spec_;
  RelaxedGauge<double> row_ns_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> spare_;  // guarded by mutex_; room for all is reserved
};

}  // namespace slipstream::forest
