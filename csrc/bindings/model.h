// ModelObject: a served model as Python sees it, with the engine it must not outlive.
#pragma once

#include <memory>

#include "core/engine.h"
#include "core/served_model.h"

namespace slipstream::bindings {

struct ModelObject {
  std::shared_ptr<Engine> engine;  // before `served`: destroyed after it
  std::shared_ptr<ServedModel> served;
};

}  // namespace slipstream::bindings
