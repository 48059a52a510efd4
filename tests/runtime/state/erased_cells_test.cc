#include "runtime/state/internal/erased_cells.h"

#include <gtest/gtest.h>

namespace weir::internal {
namespace {

TEST(ErasedCellsTest, FindsCellsOfOneHashByWhatTheyAre) {
  int a = 1;
  int b = 2;
  int c = 3;
  ErasedCells cells;
  EXPECT_TRUE(cells.empty());
  EXPECT_EQ(cells.Find(7, [](const void*) { return true; }), nullptr);
  cells.Insert(7, &a);
  cells.Insert(7, &b);
  cells.Insert(8, &c);
  const auto is = [](int value) {
    return [value](const void* cell) { return *static_cast<const int*>(cell) == value; };
  };
  EXPECT_EQ(cells.Find(7, is(2)), &b);
  EXPECT_EQ(cells.Find(7, is(3)), nullptr);
  EXPECT_EQ(cells.Find(8, is(3)), &c);
  cells.Erase(7, &c);  // Is not there.
  cells.Erase(7, &b);
  EXPECT_EQ(cells.Find(7, is(2)), nullptr);
  EXPECT_EQ(cells.Find(7, is(1)), &a);
  EXPECT_FALSE(cells.empty());
  cells.Clear();
  EXPECT_TRUE(cells.empty());
}

TEST(ErasedCellsTest, MovesCellsAndIsEmptyOnceTheLastIsErased) {
  int from = 1;
  int to = 1;
  ErasedCells cells;
  cells.Insert(7, &from);
  cells.Move([&](void* cell) -> void* { return cell == &from ? &to : nullptr; });
  EXPECT_EQ(cells.Find(7, [](const void*) { return true; }), &to);
  cells.Erase(7, &to);
  EXPECT_TRUE(cells.empty());
}

}  // namespace
}  // namespace weir::internal
