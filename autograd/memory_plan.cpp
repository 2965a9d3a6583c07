#include "autograd/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "tensor/check.h"

namespace advf {
namespace {

int64_t aligned(int64_t bytes) { return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment; }

// A stretch of the arena, shared by the values that are views of one another or overwrite one another.
struct Block {
  int64_t bytes = 0;
  int first = 0, last = 0;
  int64_t offset = 0;
  bool meets(const Block& other) const { return first <= other.last && other.first <= last; }
};

// The block of every value; views first, since a value's bytes die with its last view.
std::vector<int> blocks_of_views(std::span<const Lifetime> values, std::vector<Block>& blocks) {
  std::vector<int> block(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const Lifetime& v = values[i];
    if (v.view_of < 0) {
      block[i] = int(blocks.size());
      blocks.push_back({v.bytes, v.first, v.last});
      continue;
    }
    check(v.view_of < int(i), "plan_memory: value ", i, " is a view of the later value ", v.view_of);
    block[i] = block[size_t(v.view_of)];
    Block& b = blocks[size_t(block[i])];
    b.bytes = std::max(b.bytes, v.bytes);
    b.first = std::min(b.first, v.first);
    b.last = std::max(b.last, v.last);
  }
  return block;
}

void place(std::vector<Block>& blocks) {
  std::vector<Block*> order;
  for (Block& b : blocks)
    if (b.bytes > 0) order.push_back(&b);
  std::stable_sort(order.begin(), order.end(), [](const Block* a, const Block* b) {
    return a->bytes != b->bytes ? a->bytes > b->bytes : a->first < b->first;
  });
  std::vector<const Block*> placed;  // by offset
  for (Block* b : order) {
    int64_t at = 0;
    for (const Block* p : placed) {
      if (!p->meets(*b)) continue;
      if (at + aligned(b->bytes) <= p->offset) break;
      at = std::max(at, p->offset + aligned(p->bytes));
    }
    b->offset = at;
    const auto after = std::upper_bound(placed.begin(), placed.end(), at,
                                        [](int64_t offset, const Block* p) { return offset < p->offset; });
    placed.insert(after, b);
  }
}

}  // namespace

MemoryPlan plan_memory(std::span<const Lifetime> values) {
  MemoryPlan plan;
  std::vector<Block> blocks;
  std::vector<int> block = blocks_of_views(values, blocks);
  // Overwriting joins whole blocks: everything in the older one is dead when the newer one is written.
  std::vector<int> joined(blocks.size());
  std::iota(joined.begin(), joined.end(), 0);
  const auto root = [&](int b) {
    while (joined[size_t(b)] != b) b = joined[size_t(b)];
    return b;
  };
  for (size_t i = 0; i < values.size(); ++i) {
    const int mine = root(block[i]);
    for (int candidate : values[i].overwrite) {
      const int other = root(block[size_t(candidate)]);
      Block &a = blocks[size_t(other)], &b = blocks[size_t(mine)];
      if (other == mine || b.first != values[i].first || a.last != b.first || a.first >= b.first ||
          a.bytes != b.bytes)
        continue;
      a.last = b.last;
      b.bytes = 0;
      joined[size_t(mine)] = other;
      ++plan.in_place;
      break;
    }
  }
  place(blocks);
  for (const Block& b : blocks) plan.bytes = std::max(plan.bytes, b.offset + aligned(b.bytes));
  for (size_t i = 0; i < values.size(); ++i) plan.offset.push_back(blocks[size_t(root(block[i]))].offset);
  return plan;
}

int64_t most_bytes_alive(std::span<const Lifetime> values) {
  std::vector<Block> blocks;
  blocks_of_views(values, blocks);
  int64_t most = 0;
  for (const Block& at : blocks) {  // the maximum is reached where some block begins
    int64_t sum = 0;
    for (const Block& b : blocks)
      if (b.first <= at.first && at.first <= b.last) sum += aligned(b.bytes);
    most = std::max(most, sum);
  }
  return most;
}

}  // namespace advf
