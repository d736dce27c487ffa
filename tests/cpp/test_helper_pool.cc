// The helper pool: every chunk once, workers never overlap, callers do not wait for helpers that
// have not begun, and never more helpers than there are.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "core/helper_pool.h"
#include "harness.h"

namespace slipstream {
namespace {

// Pools live as long as their helpers, which is for ever.
HelperPool& pool_of(std::size_t helpers) {
  static auto& pools = *new std::vector<HelperPool*>;
  return *pools.emplace_back(new HelperPool(helpers));
}

// Runs a loop and checks that each chunk ran once and no worker was in two places.
void check_loop(HelperPool& pool, std::size_t wanted, std::size_t chunks) {
  HelperPool::Crew crew = pool.hire(wanted);
  CHECK(crew.size() <= wanted);
  std::vector<std::atomic<int>> runs(chunks);
  std::vector<std::atomic<int>> busy(crew.size() + 1);
  std::vector<std::size_t> plain(chunks, 0);  // what body writes is visible behind run
  const auto body = [&](std::size_t worker, std::size_t chunk) noexcept {
    CHECK(worker <= crew.size());
    CHECK_EQ(busy[worker].fetch_add(1), 0);
    runs[chunk].fetch_add(1);
    plain[chunk] = chunk + 1;
    busy[worker].fetch_sub(1);
  };
  crew.run(chunks, body);
  for (std::size_t i = 0; i < chunks; ++i) {
    CHECK_EQ(runs[i].load(), 1);
    CHECK_EQ(plain[i], i + 1);
  }
}

TEST(every_chunk_runs_once) {
  HelperPool& pool = pool_of(3);
  for (const std::size_t chunks : {0U, 1U, 2U, 3U, 4U, 100U, 1000U}) {
    for (const std::size_t wanted : {0U, 1U, 3U, 10U}) check_loop(pool, wanted, chunks);
  }
}

TEST(helpers_are_hired_once_and_come_back) {
  HelperPool& pool = pool_of(3);
  HelperPool::Crew two = pool.hire(2);
  CHECK_EQ(two.size(), 2U);
  HelperPool::Crew rest = pool.hire(5);
  CHECK_EQ(rest.size(), 1U);
  CHECK_EQ(pool.hire(1).size(), 0U);
  two.keep(1);
  CHECK_EQ(pool.hire(1).size(), 1U);  // and given back at once
  CHECK_EQ(pool.hire(3).size(), 1U);
}

TEST(a_pool_of_none_leaves_the_work_to_the_caller) {
  HelperPool& pool = pool_of(0);
  check_loop(pool, 4, 20);
  CHECK_EQ(pool.hire(4).size(), 0U);
}

TEST(a_helper_really_helps) {
  HelperPool& pool = pool_of(1);
  HelperPool::Crew crew = pool.hire(1);
  REQUIRE(crew.size() == 1);
  // Two chunks that each wait for the other to begin: one thread alone would wait for ever.
  std::atomic<int> begun{0};
  std::atomic<bool> met{true};
  const auto body = [&](std::size_t, std::size_t) noexcept {
    begun.fetch_add(1);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (begun.load() < 2 && met.load()) {
      if (std::chrono::steady_clock::now() > deadline) met = false;
      std::this_thread::yield();
    }
  };
  crew.run(2, body);
  CHECK(met.load());
}

TEST(loops_within_loops_and_many_callers) {
  HelperPool& pool = pool_of(2);
  std::vector<std::jthread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&pool] {
      for (int round = 0; round < 50; ++round) {
        HelperPool::Crew crew = pool.hire(2);
        std::atomic<int> inner_chunks{0};
        const auto body = [&](std::size_t, std::size_t) noexcept {
          HelperPool::Crew inner = pool.hire(2);
          const auto inner_body = [&](std::size_t, std::size_t) noexcept {
            inner_chunks.fetch_add(1);
          };
          inner.run(5, inner_body);
        };
        crew.run(7, body);
        CHECK_EQ(inner_chunks.load(), 35);
      }
    });
  }
}

TEST(the_shared_pool_has_a_helper_for_every_other_core) {
  CHECK_EQ(HelperPool::shared().hire(kMaxCores).size(), available_cores() - 1);
  check_loop(HelperPool::shared(), 64, 100);
}

}  // namespace
}  // namespace slipstream
