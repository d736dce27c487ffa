// How many threads one operator may use: libtorch keeps that number per thread of the caller.
//
// Set anew only where it differs, since a call costs more than a small operator.
#pragma once

namespace slipstream::libtorch {

// From now on, for what this thread runs.
void use_threads(int count);

}  // namespace slipstream::libtorch
