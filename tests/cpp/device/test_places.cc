// Names of devices, and which of several the next instance goes to.
#include <optional>
#include <utility>
#include <vector>

#include "device/places.h"
#include "harness.h"

using namespace slipstream::device;

TEST(names_of_devices) {
  CHECK(parse_devices("cpu") == std::vector<int>{});
  CHECK(parse_devices("cuda") == std::vector<int>{0});
  CHECK(parse_devices("cuda:3") == std::vector<int>{3});
  CHECK((parse_devices("cuda:1,cuda:0") == std::vector<int>{1, 0}));
  for (const char* bad : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:0,", "cuda:0,cpu",
                          "cuda,cuda:0", "cuda:99999999999", " cuda:0"}) {
    CHECK(!parse_devices(bad).has_value());
  }
}

TEST(instances_go_where_the_fewest_are) {
  Places places(2);
  std::optional<Place> first = places.take();
  std::optional<Place> second = places.take();
  CHECK_EQ(first->index(), 0U);
  CHECK_EQ(second->index(), 1U);
  first.reset();
  const Place third = places.take();
  CHECK_EQ(third.index(), 0U);
  second.reset();
  CHECK_EQ(places.take().index(), 1U);
  CHECK_EQ(places.take().index(), 1U);
}

TEST(a_place_outlives_those_who_gave_it) {
  std::optional<Place> place;
  {
    Places places(1);
    place = places.take();
  }
  Place moved = std::move(*place);
  place.reset();
  CHECK_EQ(moved.index(), 0U);
}
