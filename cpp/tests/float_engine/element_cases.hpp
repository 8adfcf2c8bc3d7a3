// Cases for layers that work element by element.
#ifndef UL2Q_TESTS_FLOAT_ENGINE_ELEMENT_CASES_HPP_
#define UL2Q_TESTS_FLOAT_ENGINE_ELEMENT_CASES_HPP_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "float_engine/parity.hpp"

namespace ul2q {

inline std::vector<std::vector<int>> ElementShapes() {
  return {{1}, {7, 3}, {2, 3, 4, 5}, {1, 2, 3, 2, 11}, {100, 61, 43}};
}

inline std::vector<ParityCase> ElementCases(
    const std::string& param, int bottoms, const std::vector<bool>& in_places) {
  std::vector<ParityCase> cases;
  for (const std::vector<int>& shape : ElementShapes()) {
    for (const bool in_place : in_places) {
      ParityCase c;
      c.name = param + " " + ::testing::PrintToString(shape) +
               (in_place ? " in place" : "");
      c.param = param;
      c.shapes.assign(bottoms, shape);
      c.in_place = in_place;
      c.tolerance = 4;
      cases.push_back(c);
    }
  }
  return cases;
}

}  // namespace ul2q

#endif  // UL2Q_TESTS_FLOAT_ENGINE_ELEMENT_CASES_HPP_
