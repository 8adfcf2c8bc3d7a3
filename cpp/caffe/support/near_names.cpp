#include "support/near_names.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <utility>

namespace ul2q {
namespace {

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return text;
}

/// The number of letters to insert, delete, replace or swap with their
/// neighbour that turns `a` into `b` (optimal string alignment).
std::size_t Distance(const std::string& a, const std::string& b) {
  // Three rows of the table of distances between prefixes: those of i - 2,
  // i - 1 and i letters of `a`.
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1),
      row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    row[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, above);
    std::swap(above, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      row[j] = std::min(
          {above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<std::string> NearNames(const std::string& name,
                                   const std::vector<std::string>& known) {
  const std::string lower = LowerCase(name);
  std::vector<std::pair<std::size_t, std::string>> near;
  for (const std::string& candidate : known) {
    const std::size_t distance = Distance(lower, LowerCase(candidate));
    if (3 * distance <= std::max(lower.size(), candidate.size()) &&
        distance < candidate.size()) {
      near.emplace_back(distance, candidate);
    }
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) {
    return a.first < b.first;
  });
  std::vector<std::string> names;
  for (auto& entry : near) {
    names.push_back(std::move(entry.second));
  }
  return names;
}

std::string DidYouMean(const std::string& name,
                       const std::vector<std::string>& known) {
  constexpr std::size_t kMost = 3;
  const std::vector<std::string> names = NearNames(name, known);
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i) {
    text += (i == 0 ? " Did you mean \"" : " or \"") + names[i] + "\"";
  }
  return text.empty() ? text : text + "?";
}

std::string Listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + name;
  }
  return text;
}

}  // namespace ul2q
