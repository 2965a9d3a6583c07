// Several who train one network: each takes its share of every batch, and what they sum is the same bits for
// all of them. How they reach each other (processes by MPI, threads in a test) is behind the interface.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensor/device_link.h"
#include "tensor/tensor.h"

namespace advf {

class Team {
 public:
  virtual ~Team() = default;
  virtual int rank() const = 0;  // from 0
  virtual int size() const = 0;

  // Element by element, over all ranks in their order, so that every run of so many has the same bits. All
  // ranks call it with as many values: best a multiple of size(), which are not copied. Each rank sends and
  // receives less than twice the values' bytes.
  void sum(std::span<float> values);
  // The same of tensors of f32 on one backend, which are replaced by their sums. What lies on a device stays
  // there once meet() has linked the devices, and takes the way through the hosts' memory otherwise, to the
  // same bits.
  void sum(std::vector<Tensor>& tensors);
  double sum(double value);
  // All ranks are about to compute on backends of this kind: links their devices where that can be done.
  void meet(Backend& backend);
  bool any(bool mine) { return sum(mine ? 1.0 : 0.0) > 0; }
  // Whether all ranks have the same text.
  bool agree(const std::string& text);
  // What all ranks have, one behind the other in their order; each may have another number of values.
  template <class T>
  std::vector<T> joined(std::vector<T> mine) {
    const std::vector<size_t> counts = of_each_rank(mine.size());
    const size_t most = *std::max_element(counts.begin(), counts.end());
    mine.resize(most);
    std::vector<T> all(most * counts.size());
    timed_gather(std::as_bytes(std::span(mine)), std::as_writable_bytes(std::span(all)));
    auto end = all.begin();
    for (size_t r = 0; r < counts.size(); ++r)
      end = std::copy_n(all.begin() + ptrdiff_t(r * most), counts[r], end);
    all.erase(end, all.end());
    return all;
  }
  // This rank's part of [0, n): contiguous, in the order of ranks, as even as can be.
  std::pair<int64_t, int64_t> share(int64_t n) const;
  // Normalised by the whole batch, or by each rank's own share of it (which sends less, and is another
  // training).
  bool shares_batch_norm() const { return shares_batch_norm_; }
  void set_shares_batch_norm(bool on) { shares_batch_norm_ = on; }

  // Bytes that this rank has sent, and seconds that its host has waited for others and the network: devices
  // that are linked wait for themselves.
  int64_t bytes_sent() const { return bytes_; }
  double seconds() const { return seconds_; }

 private:
  // `all` becomes what each rank has given, one behind the other, in the order of ranks.
  virtual void gather(std::span<const std::byte> mine, std::span<std::byte> all) = 0;
  // `out` has a block for each rank, all of one size; block r of `in` becomes what rank r has for this one.
  virtual void exchange(std::span<const std::byte> out, std::span<std::byte> in) = 0;
  // A link for all ranks, which call it together, or for none of them.
  virtual std::unique_ptr<DeviceLink> link() { return nullptr; }

  void sum_on_device(std::vector<Tensor>& tensors);
  void timed_gather(std::span<const std::byte> mine, std::span<std::byte> all);
  template <class T>
  std::vector<T> of_each_rank(const T& mine) {
    std::vector<T> all(static_cast<size_t>(size()));
    timed_gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)));
    return all;
  }
  // Of sum(), which a training calls again and again with as many values.
  std::vector<float> tensors_, padded_, in_;
  std::unique_ptr<DeviceLink> link_;
  bool asked_for_link_ = false;
  int64_t bytes_ = 0;
  double seconds_ = 0;
  bool shares_batch_norm_ = true;
};

// While it lives, this thread trains with others: Trainer and batch norm ask for current_team(). null: alone.
class TeamScope {
 public:
  explicit TeamScope(Team* team);
  ~TeamScope();
  TeamScope(const TeamScope&) = delete;

 private:
  Team* before_;
};
Team* current_team();  // null: none

}  // namespace advf
