// Several who train together, as threads of one process: sums, batch norm, and whole trainings.
#define BOOST_TEST_MODULE team
#include <atomic>
#include <barrier>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "advface/networks/train_decoder.h"
#include "advface/networks/validation.h"
#include "autograd/tape.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "nn/layers.h"
#include "nn/state_dict.h"
#include "nn/team_batch_norm.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

using namespace advf;
using namespace advf::test;

namespace {

// What the threads of a team share.
struct Table {
  explicit Table(int size) : size(size), given(static_cast<size_t>(size)), barrier(size) {}
  int size;
  std::vector<std::span<const std::byte>> given;
  std::barrier<> barrier;
};

class ThreadTeam : public Team {
 public:
  ThreadTeam(Table& table, int rank) : table_(table), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return table_.size; }

 private:
  void gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
    give(mine, [&] {
      for (size_t r = 0; r < table_.given.size(); ++r)
        std::ranges::copy(table_.given[r], all.begin() + ptrdiff_t(r * mine.size()));
    });
  }
  void exchange(std::span<const std::byte> out, std::span<std::byte> in) override {
    const size_t block = out.size() / size_t(table_.size);
    give(out, [&] {
      for (size_t r = 0; r < table_.given.size(); ++r)
        std::ranges::copy(table_.given[r].subspan(size_t(rank_) * block, block),
                          in.begin() + ptrdiff_t(r * block));
    });
  }
  template <class Take>
  void give(std::span<const std::byte> mine, const Take& take) {
    table_.given[size_t(rank_)] = mine;
    table_.barrier.arrive_and_wait();
    take();
    table_.barrier.arrive_and_wait();
  }
  Table& table_;
  int rank_;
};

// f(team) on so many ranks at once; what each returned. Boost's checks are for one thread: f makes none.
template <class F>
auto on_ranks(int size, const F& f) {
  using Result = decltype(f(std::declval<Team&>()));
  Table table(size);
  std::vector<Result> results(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r)
    threads.emplace_back([&, r] {
      ThreadTeam team(table, r);
      const TeamScope scope(&team);
      results[size_t(r)] = f(team);
    });
  for (std::thread& t : threads) t.join();
  return results;
}

std::vector<float> numbers(int64_t n, uint64_t stream) {
  const Philox rng{9, stream};
  std::vector<float> values;
  for (int64_t i = 0; i < n; ++i) values.push_back(float(rng.normal(uint64_t(i))));
  return values;
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = a.size() == b.size() ? 0 : 1e9;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    most = std::max(most, std::abs(double(a[i]) - double(b[i])));
  return most;
}

// Output, gradients to x, gamma and beta, and the running statistics, of these rows of a batch.
struct Normed {
  std::vector<float> y, gx, ggamma, gbeta, mean, var;
};
Normed normed(const Shape& shape, int64_t begin, int64_t end) {
  const Tensor whole = Tensor::from(numbers(shape.numel(), 1), shape),
               cotangent = Tensor::from(numbers(shape.numel(), 2), shape);
  const Tensor x = affine(whole.slice_batch(begin, end), 3, 7), g = cotangent.slice_batch(begin, end);
  BatchNorm norm(shape[1]);
  norm.train();
  for (const Named& n : norm.parameters()) *n.tensor = Tensor::from(numbers(shape[1], 3), {shape[1]});
  Tape tape;
  Tensor y;
  {
    const TapeScope scope(tape);
    y = norm.forward(x);
  }
  std::vector<Tensor> wrt{x};
  for (const Named& n : norm.parameters()) wrt.push_back(*n.tensor);
  const std::vector<Tensor> out{y}, cotangents{g};
  const std::vector<Tensor> gradients = backward(tape, out, cotangents, wrt);
  const auto state = state_dict(norm);
  return {y.to_vector<float>(),
          gradients[0].to_vector<float>(),
          gradients[1].to_vector<float>(),
          gradients[2].to_vector<float>(),
          state.at("running_mean").to_vector<float>(),
          state.at("running_var").to_vector<float>()};
}

// A decoder of the toy recogniser's embeddings after two epochs, the mean of which it is. There are three
// batches to validate on.
struct Trained {
  std::vector<float> weights;
  std::vector<double> losses;
  int64_t validated = 0;  // images, in all validations
};
constexpr int64_t kTrained = 66, kValidated = 134;
struct ToyTraining {
  explicit ToyTraining(int64_t n = kTrained + kValidated)
      : recogniser(toy_recogniser()), images(toy_images(n, 3)), decoder(toy_decoder(recogniser, "e")) {
    data.features = FeatureRows(recogniser.features(recogniser.preprocess(images), "e"));
    for (int64_t i = 0; i < n; ++i) (i < kTrained ? data.train : data.validation).push_back(i);
    data.face = [this](const std::vector<int64_t>& rows) {
      std::vector<float> values;
      validated += std::ranges::count_if(rows, [](int64_t r) { return r >= kTrained; });
      const int64_t size = images.numel() / images.dim(0);
      for (const int64_t r : rows)
        values.insert(values.end(), images.data<float>() + r * size, images.data<float>() + (r + 1) * size);
      return Tensor::from(values, {int64_t(rows.size()), 3, kToySize, kToySize});
    };
    settings.epochs = 2;
    settings.average = 2;
    settings.batch = 16;
    settings.learning_rate = 1e-3;
  }
  Trained result(DecoderTrainer& trainer) {
    Trained t;
    t.validated = validated;
    for (const auto& [name, tensor] : state_dict(*decoder))
      if (tensor.dtype() == DType::f32) {
        const auto values = tensor.to_vector<float>();
        t.weights.insert(t.weights.end(), values.begin(), values.end());
      }
    for (const EpochResult& e : trainer.history())
      t.losses.insert(t.losses.end(), {e.train_loss, e.validation_loss});
    return t;
  }

  Recogniser recogniser;
  Tensor images;
  std::unique_ptr<Decoder> decoder;
  DecoderData data;
  TrainSettings settings;
  int64_t validated = 0;
};

Trained trained(bool per_rank = false) {
  ToyTraining toy;
  toy.settings.batch_norm_per_rank = per_rank;
  DecoderTrainer trainer(*toy.decoder, toy.data, toy.settings);
  while (!trainer.done()) trainer.step();
  trainer.finish();
  return toy.result(trainer);
}

}  // namespace

BOOST_AUTO_TEST_CASE(sums_are_in_the_order_of_ranks) {
  for (const int size : {1, 2, 3, 5})
    for (const int64_t n : {1, 7, 1000}) {
      const auto sums = on_ranks(size, [n](Team& team) {
        std::vector<float> values = numbers(n, uint64_t(team.rank()));
        team.sum(values);
        return values;
      });
      std::vector<float> expected;
      for (int64_t i = 0; i < n; ++i) {
        double sum = 0;
        for (int r = 0; r < size; ++r) sum += double(numbers(n, uint64_t(r))[size_t(i)]);
        expected.push_back(float(sum));
      }
      for (const auto& sum : sums) BOOST_TEST((sum == expected));
    }
  for (const int ok : on_ranks(3, [](Team& team) {
         const auto [begin, end] = team.share(10);
         return int(team.sum(team.rank() + 0.5) == 4.5 && team.any(team.rank() == 2) && !team.any(false) &&
                    team.agree("same") && !team.agree(std::to_string(team.rank())) &&
                    team.sum(double(end - begin)) == 10 && end - begin >= 3);
       }))
    BOOST_TEST(ok == 1);
}

BOOST_AUTO_TEST_CASE(what_ranks_have_is_joined) {
  const auto all = on_ranks(4, [](Team& team) {
    std::vector<int> mine(size_t(team.rank() * team.rank() % 4), team.rank());
    return team.joined(mine);
  });
  for (const auto& one : all) BOOST_TEST((one == std::vector<int>{1, 3}));
  BOOST_TEST((on_ranks(2, [](Team& team) { return team.joined(std::vector<double>{}).size(); }) ==
              std::vector<size_t>{0, 0}));
}

// Whatever the number of ranks, also where some have nothing to do: the batches of one, each worked out once.
BOOST_AUTO_TEST_CASE(batches_are_shared_as_they_are) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < 23; ++i) rows.push_back(3 * i);
  std::atomic<int> calls = 0;
  const auto said = [&] {
    return of_batches<double>(rows, 5, [&](const std::vector<int64_t>& batch, int64_t begin) {
      ++calls;
      std::vector<double> values{double(begin)};
      for (const int64_t r : batch)
        if (r % 2 == 1) values.push_back(1.0 / double(r));
      return values;
    });
  };
  const auto alone = said();
  BOOST_TEST(alone.size() == 5u);
  BOOST_TEST(alone[4][0] == 20);
  for (const int size : {1, 2, 3, 7}) {
    calls = 0;
    for (const auto& rank : on_ranks(size, [&](Team&) { return said(); })) BOOST_TEST((rank == alone));
    BOOST_TEST(calls == 5);
  }
}

BOOST_AUTO_TEST_CASE(batch_norm_is_that_of_the_whole_batch) {
  for (const Shape& shape : {Shape{9, 5}, Shape{8, 3, 4, 6}}) {
    const Normed whole = normed(shape, 0, shape[0]);
    for (const int size : {1, 2, 3}) {
      const auto parts = on_ranks(size, [&](Team& team) {
        const auto [begin, end] = team.share(shape[0]);
        return normed(shape, begin, end);
      });
      Normed joined;
      joined.ggamma.resize(whole.ggamma.size()), joined.gbeta.resize(whole.gbeta.size());
      for (const Normed& part : parts) {
        joined.y.insert(joined.y.end(), part.y.begin(), part.y.end());
        joined.gx.insert(joined.gx.end(), part.gx.begin(), part.gx.end());
        for (size_t c = 0; c < part.ggamma.size(); ++c)
          joined.ggamma[c] += part.ggamma[c], joined.gbeta[c] += part.gbeta[c];
        BOOST_TEST(difference(part.mean, whole.mean) < 2e-6);
        BOOST_TEST(difference(part.var, whole.var) < 2e-5);
      }
      BOOST_TEST(difference(joined.y, whole.y) < 2e-5);
      BOOST_TEST(difference(joined.gx, whole.gx) < 2e-5);
      BOOST_TEST(difference(joined.ggamma, whole.ggamma) < 2e-4);
      BOOST_TEST(difference(joined.gbeta, whole.gbeta) < 2e-5);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_team_trains_as_one_does) {
  const Trained alone = trained();
  BOOST_TEST(alone.validated == 3 * kValidated);  // after both epochs and of their average
  for (const int size : {2, 4}) {
    const auto ranks = on_ranks(size, [](Team&) { return trained(); });
    int64_t validated = 0;
    for (const Trained& rank : ranks) {
      BOOST_TEST((rank.weights == ranks[0].weights));  // bit by bit
      BOOST_TEST((rank.losses == ranks[0].losses));
      BOOST_TEST(rank.validated < alone.validated);
      validated += rank.validated;
      for (size_t i = 0; i < alone.losses.size(); ++i)
        BOOST_TEST(std::abs(rank.losses[i] - alone.losses[i]) < 1e-5, size << " ranks, " << i);
    }
    BOOST_TEST(validated == alone.validated);
    BOOST_TEST((on_ranks(size, [](Team&) { return trained(); })[0].weights == ranks[0].weights));
  }
}

BOOST_AUTO_TEST_CASE(ranks_may_normalise_by_themselves) {
  const auto ranks = on_ranks(2, [](Team&) { return trained(true); });
  BOOST_TEST((ranks[0].weights == ranks[1].weights));
  BOOST_TEST(difference(ranks[0].weights, trained().weights) > 1e-4);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_goes_on_with_other_ranks) {
  const TempDir dir;
  const std::string file = dir / "checkpoint";
  on_ranks(2, [&](Team& team) {
    ToyTraining toy;
    DecoderTrainer trainer(*toy.decoder, toy.data, toy.settings);
    while (trainer.steps_done() < 5) trainer.step();
    if (team.rank() == 0) trainer.save_checkpoint(file);
    return 0;
  });
  const auto rest = [&] {
    ToyTraining toy;
    DecoderTrainer trainer(*toy.decoder, toy.data, toy.settings);
    trainer.load_checkpoint(file);
    while (!trainer.done()) trainer.step();
    trainer.finish();
    return toy.result(trainer);
  };
  const Trained whole = trained(), alone = rest();
  const auto four = on_ranks(4, [&](Team&) { return rest(); });
  for (size_t i = 0; i < whole.losses.size(); ++i) {
    BOOST_TEST(std::abs(alone.losses[i] - whole.losses[i]) < 1e-5);
    BOOST_TEST(std::abs(four[3].losses[i] - whole.losses[i]) < 1e-5);
  }
}

BOOST_AUTO_TEST_CASE(ranks_that_disagree_are_told) {
  const auto told = on_ranks(2, [](Team& team) -> std::string {
    try {
      ToyTraining toy(kTrained + (team.rank() == 0 ? 9 : 10));
      const DecoderTrainer trainer(*toy.decoder, toy.data, toy.settings);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  });
  for (const std::string& text : told) BOOST_TEST(text.find("disagree") != std::string::npos, text);
  const auto small = on_ranks(3, [](Team&) -> std::string {
    try {
      ToyTraining toy;
      toy.settings.batch = 5;
      const DecoderTrainer trainer(*toy.decoder, toy.data, toy.settings);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  });
  for (const std::string& text : small) BOOST_TEST(text.find("3 ranks") != std::string::npos, text);
}
