#include "advface/attackers/oracle_attacker.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "advface/attackers/varied_image.h"
#include "advface/audit/metrics.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {

template <>
const std::vector<Choice<OracleAnswers>>& choices() {
  static const std::vector<Choice<OracleAnswers>> list{{OracleAnswers::scores, "scores"},
                                                       {OracleAnswers::accepts, "accepts"}};
  return list;
}

namespace {

constexpr int64_t kBatch = 16;      // queries of one step
constexpr double kFirstStep = 0.3;  // in standard deviations of the decoder's features
constexpr double kShareOfPeople =
    0.4;  // of the queries, at most, that go to public people where scores are told
constexpr double kWider = 1.2, kNarrower = 0.8;  // steps on accept bits

// What is asked: it sees images and answers, and counts.
class MatchingSide {
 public:
  MatchingSide(const AttackerInput& input, const Tensor& stored, OracleAnswers answers)
      : input_(input), stored_(embedded(stored)), answers_(answers) {
    if (answers == OracleAnswers::accepts) threshold_ = input.threshold();
  }
  // (n, D) of images, before anything is asked.
  Tensor probes(const Tensor& images) const { return embedded(input_.probes_of(images)); }
  // Scores, or 1 and 0.
  std::vector<double> ask(const Tensor& probes) {
    asked_ += probes.dim(0);
    std::vector<double> told = cosine_rows(probes.on_host(), repeat_row(probes.dim(0)));
    if (answers_ == OracleAnswers::accepts)
      for (double& t : told) t = t >= threshold_ ? 1 : 0;
    return told;
  }
  int64_t asked() const { return asked_; }

 private:
  // Where two features are compared: behind the rest of the recogniser, or in the space of their own.
  Tensor embedded(const Tensor& features) const {
    const bool moved = input_.through && input_.through->moves();
    const Tensor e = moved ? features : input_.recogniser->embed_from(features, input_.cut);
    return reshape(e, {e.dim(0), e.numel() / e.dim(0)});
  }
  Tensor repeat_row(int64_t n) const { return broadcast_to(stored_.on_host(), {n, stored_.dim(1)}); }

  const AttackerInput& input_;
  Tensor stored_;  // (1, D)
  OracleAnswers answers_;
  double threshold_ = 0;
  int64_t asked_ = 0;
};

// The steps: a cloud of points around a mean.
class Cloud {
 public:
  Cloud(std::vector<float> mean, uint64_t seed)
      : mean_(std::move(mean)), path_(mean_.size()), rng_{seed, uint64_t(1) << 59} {}

  // The mean and `count` points around it, (1 + count, row).
  std::vector<float> draw(int64_t count) {
    drawn_.resize(size_t(count) * mean_.size());
    std::vector<float> points = mean_;
    for (size_t k = 0; k < drawn_.size(); ++k) {
      drawn_[k] = float(rng_.normal(next_++));
      points.push_back(mean_[k % mean_.size()] + float(step_) * drawn_[k]);
    }
    return points;
  }
  // Moves to the better half of the points around it, by their scores.
  void follow(const std::vector<double>& scores) {
    if (scores.empty()) return;
    std::vector<size_t> order(scores.size());
    std::iota(order.begin(), order.end(), size_t(0));
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
    order.resize(std::max<size_t>(1, order.size() / 2));
    std::vector<double> weights;
    for (size_t i = 0; i < order.size(); ++i)
      weights.push_back(std::log(double(order.size()) + 0.5) - std::log(double(i) + 1));
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    double effective = 0;
    for (double& w : weights) {
      w /= sum;
      effective += w * w;
    }
    move(order, weights, 1 / effective);
  }
  // Moves to the middle of those that were accepted: further from the border.
  void follow_bits(const std::vector<double>& accepted) {
    if (accepted.empty()) return;
    std::vector<size_t> taken;
    for (size_t i = 0; i < accepted.size(); ++i)
      if (accepted[i] > 0) taken.push_back(i);
    if (taken.empty()) {
      step_ *= kNarrower;
      return;
    }
    if (taken.size() == accepted.size()) step_ *= kWider;
    for (size_t k = 0; k < mean_.size(); ++k) {
      double to = 0;
      for (size_t i : taken) to += double(drawn_[i * mean_.size() + k]);
      mean_[k] += float(step_ * to / double(taken.size()));
    }
  }

  // Begins here again, with smaller steps.
  void go_back(std::vector<float> mean) {
    mean_ = std::move(mean);
    step_ *= kNarrower;
  }

 private:
  void move(const std::vector<size_t>& order, const std::vector<double>& weights, double effective) {
    const double n = double(mean_.size()), c = (effective + 2) / (n + effective + 5),
                 damping = 1 + c + 2 * std::max(0.0, std::sqrt((effective - 1) / (n + 1)) - 1);
    double length = 0;
    for (size_t k = 0; k < mean_.size(); ++k) {
      double to = 0;
      for (size_t i = 0; i < order.size(); ++i)
        to += weights[i] * double(drawn_[order[i] * mean_.size() + k]);
      mean_[k] += float(step_ * to);
      path_[k] = (1 - c) * path_[k] + std::sqrt(c * (2 - c) * effective) * to;
      length += path_[k] * path_[k];
    }
    const double expected = std::sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
    step_ *= std::exp(c / damping * (std::sqrt(length) / expected - 1));
  }

  std::vector<float> mean_, drawn_;
  std::vector<double> path_;
  double step_ = kFirstStep;
  Philox rng_;
  uint64_t next_ = 0;
};

// The decoder of the file, which must take raw features: those of public people are what it begins with.
std::shared_ptr<const Decoder> raw_decoder(const std::string& path, const AttackerInput& input) {
  std::shared_ptr<const Decoder> decoder = decoder_for(path, input);
  const ProtectionId& trained_on = decoder->provenance().protection;
  check(!trained_on.known() || trained_on.is_raw(), path, ": was trained on features that are ",
        trained_on.describe(), "; the oracle begins with raw ones of public people");
  return decoder;
}

class OracleAttacker : public Attacker {
 public:
  OracleAttacker(const OracleSpec& spec, const AttackerInput& input)
      : spec_(spec), input_(input), decoder_(raw_decoder(spec.decoder, input)) {
    settings_ = told_settings(spec_);
    from_ = decoder_->info();
    space_ = input.stored_space();
    from_.protection = input.through ? input.through->id() : ProtectionId();
    from_.domain = space_.domain;
    varied_ = std::make_unique<VariedImage>(image_size(), 0, mean_face(), decoder_);
  }

  const Provenance& provenance() const override { return from_; }
  const Shape& row() const override { return space_.row; }
  int image_size() const override { return decoder_->info().spec.image_size; }
  std::string kind() const override { return "oracle"; }
  std::string name() const override { return "oracle"; }
  bool asks_matching_side() const override { return true; }
  Metadata settings() const override { return settings_; }
  Tensor mean_face() const override { return decoder_->statistics().mean_face; }

  Tensor attack(const Tensor& features, const Context& context) const override {
    const NoTapeScope off;
    const auto progress = context.begin("ask", features.dim(0), "features");
    std::vector<Tensor> images;
    queries_.clear();
    for (int64_t i = 0; i < features.dim(0); ++i) {
      MatchingSide side(input_, features.slice_batch(i, i + 1).to(current_backend()), spec_.answers);
      images.push_back(best_image(side, context));
      queries_.push_back(side.asked());
      progress->advance(1, std::to_string(side.asked()) + " queries");
    }
    progress->finish();
    return concat(images, 0);
  }
  std::vector<int64_t> queries() const override { return queries_; }

 private:
  struct Best {
    Tensor point;
    double told = -std::numeric_limits<double>::infinity();
  };
  Tensor best_image(MatchingSide& side, const Context& context) const;
  Best among_people(MatchingSide& side, const Context& context) const;
  void people(MatchingSide& side, int64_t count, const Context& context) const;
  Tensor image_of(const Tensor& points) const { return varied_->image({points}); }

  OracleSpec spec_;
  AttackerInput input_;
  std::shared_ptr<const Decoder> decoder_;
  Metadata settings_;
  Provenance from_;
  FeatureSpace space_;
  std::unique_ptr<VariedImage> varied_;
  // What the matching side makes of the decoder's images of public people; a batch each, the same for every
  // feature that is attacked.
  mutable std::vector<Tensor> probes_;
  mutable std::vector<int64_t> queries_;  // of the last attack
};

// So that the first `count` people can be asked about.
void OracleAttacker::people(MatchingSide& side, int64_t count, const Context& context) const {
  if (int64_t(probes_.size()) * kBatch >= count) return;
  const FeatureRows others = input_.others();
  for (int64_t begin = int64_t(probes_.size()) * kBatch; begin < std::min(count, others.count());
       begin += kBatch) {
    context.check_stop();
    const int64_t end = std::min(begin + kBatch, others.count());
    probes_.push_back(side.probes(image_of(varied_->at_features(others.batch(begin, end))[0])));
  }
}

// The first who is asked about where only bits are told and nobody is accepted.
OracleAttacker::Best OracleAttacker::among_people(MatchingSide& side, const Context& context) const {
  // Where only bits are told, all depends on one that is accepted.
  const bool bits = spec_.answers == OracleAnswers::accepts;
  const int64_t most = bits ? spec_.queries : int64_t(std::ceil(kShareOfPeople * double(spec_.queries)));
  Best best;
  for (int64_t at = 0; side.asked() < most; ++at) {
    people(side, (at + 1) * kBatch, context);
    if (at >= int64_t(probes_.size())) break;
    const int64_t count = std::min(probes_[size_t(at)].dim(0), most - side.asked());
    const std::vector<double> told = side.ask(probes_[size_t(at)].slice_batch(0, count));
    const auto top = std::max_element(told.begin(), told.end());
    if (*top <= best.told) continue;
    const int64_t i = at * kBatch + int64_t(top - told.begin());
    best = {varied_->at_features(input_.others().batch(i, i + 1))[0], *top};
    if (bits && *top > 0) break;
  }
  return best;
}

// One of those that were asked about, so that what comes of N queries is what N queries have shown.
Tensor OracleAttacker::best_image(MatchingSide& side, const Context& context) const {
  Best best = among_people(side, context);
  if (!best.point.defined()) {  // there is nobody to begin with
    best.point = Tensor::zeros(with_rows(1, decoder_->feature()));
    best.told = side.ask(side.probes(image_of(best.point)))[0];
  }
  const bool bits = spec_.answers == OracleAnswers::accepts;
  Cloud cloud(best.point.to_vector<float>(), spec_.seed);
  while (side.asked() < spec_.queries && !(bits && best.told <= 0)) {
    context.check_stop();
    const int64_t count = std::min(kBatch, spec_.queries - side.asked());
    const Tensor points = Tensor::from(cloud.draw(count - 1), with_rows(count, decoder_->feature()));
    const std::vector<double> told = side.ask(side.probes(image_of(points.to(current_backend()))));
    const std::vector<double> around(told.begin() + 1, told.end());
    if (bits && told[0] <= 0) {
      cloud.go_back(best.point.to_vector<float>());
      continue;
    }
    bits ? cloud.follow_bits(around) : cloud.follow(around);
    const auto top = bits ? told.begin() : std::max_element(told.begin(), told.end());
    if (*top >= best.told) best = {points.slice_batch(top - told.begin(), top - told.begin() + 1), *top};
  }
  return image_of(best.point.to(current_backend()));
}

}  // namespace

Settings OracleSpec::settings() {
  return {
      whole_setting("queries", queries, {1, 1000000}, "that are asked for each feature"),
      choice_setting("answers", answers, "what is told"),
      file_setting("decoder", decoder, "file of a trained decoder, which makes the images that are shown"),
      seed_setting(seed)};
}

void OracleSpec::check_valid() const {
  check(queries >= 1 && queries <= 1000000, "queries must lie between 1 and 1000000, not ", queries);
  check(!decoder.empty(), "the oracle needs a decoder: oracle:decoder=FILE");
}

std::unique_ptr<Attacker> OracleSpec::make(const AttackerInput& input) const {
  check(answers == OracleAnswers::scores || !input.through || !input.through->moves(),
        "oracle:answers=accepts asks a recogniser that accepts at its own threshold; of features that a "
        "protection "
        "has moved to a space of their own nobody has said where they are accepted; use answers=scores");
  return std::make_unique<OracleAttacker>(*this, input);
}

}  // namespace advf
