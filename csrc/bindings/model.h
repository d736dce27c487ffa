// ModelObject: a model, or several composed, as Python sees it, with the engine it must not
// outlive.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <optional>
#include <utility>

#include "core/engine.h"
#include "core/servable.h"

namespace slipstream::bindings {

struct ModelObject {
  std::shared_ptr<Engine> engine;  // before `served`: destroyed after it
  std::shared_ptr<Servable> served;
};

// The last share joins the model's workers. It may go anywhere, so it goes without the GIL.
[[nodiscard]] inline std::shared_ptr<ModelObject> share_model(std::shared_ptr<Engine> engine,
                                                              std::shared_ptr<Servable> served) {
  return {new ModelObject{std::move(engine), std::move(served)}, [](ModelObject* model) {
            std::optional<pybind11::gil_scoped_release> release;
            if (PyGILState_Check() != 0) release.emplace();
            delete model;
          }};
}

}  // namespace slipstream::bindings
