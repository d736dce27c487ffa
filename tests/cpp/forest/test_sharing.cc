// How the rows of a batch are shared among threads.
#include <algorithm>
#include <cstddef>

#include "backends/forest/sharing.h"
#include "harness.h"

namespace slipstream::forest {
namespace {

TEST(rows_are_shared_when_that_is_worth_it) {
  CHECK_EQ(helpers_worth(1000, 0, 8), 0U);    // nothing known
  CHECK_EQ(helpers_worth(1000, 199, 8), 0U);  // 199 us: not for two
  CHECK_EQ(helpers_worth(1000, 200, 8), 1U);
  CHECK_EQ(helpers_worth(1000, 100000, 8), 7U);  // no more than threads
  CHECK_EQ(helpers_worth(1000, 100000, 1), 0U);
  CHECK_EQ(helpers_worth(31, 1e9, 8), 0U);  // too few rows to cut
  CHECK_EQ(helpers_worth(32, 1e9, 8), 1U);
  for (const std::size_t block : {1U, 5U, 64U, 512U}) {
    for (std::size_t rows = 16; rows < 5000; rows += 37) {
      for (const std::size_t workers : {2U, 3U, 8U, 64U}) {
        const std::size_t chunk = rows_per_chunk(rows, workers, block);
        REQUIRE(chunk >= 1 && chunk <= block);
        const std::size_t chunks = (rows + chunk - 1) / chunk;
        // Nobody gets more than one chunk more than others, unless chunks are as small as they get.
        CHECK(chunks <= std::max(workers * ((rows + block * workers - 1) / (block * workers)),
                                 (rows + 15) / 16));
      }
    }
  }
}

}  // namespace
}  // namespace slipstream::forest
