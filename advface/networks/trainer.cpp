#include "advface/networks/trainer.h"

#include <chrono>
#include <cmath>
#include <sstream>
#include <tuple>

#include "autograd/tape.h"
#include "nn/layers.h"
#include "nn/nets/net_metadata.h"
#include "nn/schedule.h"
#include "nn/state_dict.h"
#include "nn/team.h"
#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

std::vector<Named> prefixed(const std::vector<std::pair<std::string, Module*>>& modules, bool with_buffers) {
  std::vector<Named> all;
  for (const auto& [name, module] : modules)
    for (const Named& n : with_buffers ? module->state() : module->parameters())
      all.push_back({name + "." + n.name, n.tensor});
  return all;
}

constexpr const char* kOptimizer = "optimizer.";
constexpr const char* kAverage = "average.";
constexpr const char* kMore = "more.";

}  // namespace

void TrainSettings::check_valid() const {
  check(epochs >= 1 && epochs <= 100000, "the number of epochs must lie between 1 and 100000, not ", epochs);
  check(batch >= 2 && batch <= 65536, "the batch must lie between 2 and 65536 (batch norm needs two), not ",
        batch);
  check(std::isfinite(learning_rate) && learning_rate > 0, "the learning rate must be positive, not ",
        learning_rate);
  check(average >= 1 && average <= epochs, "the average must be of 1 to ", epochs,
        " epochs, as many as there are, not ", average);
}

std::string told_run(const std::string& run) {
  const std::string data = "data ", loss = "loss ";
  const size_t begin = run.find(data), shape = run.find('[', begin);
  if (begin == std::string::npos || shape == std::string::npos) return run;
  const size_t from = begin + data.size();
  std::string before = run.substr(from, shape - from);  // of the data: "loss identity, weight 0.5, "
  if (const size_t at = before.find(loss); at != std::string::npos && before.ends_with(", "))
    before = before.substr(0, at) + "loss \"" +
             before.substr(at + loss.size(), before.size() - at - loss.size() - 2) + "\", ";
  return run.substr(0, begin) + before + "data of shape " + run.substr(shape);
}

TensorMap taken_out(TensorMap& all, const std::string& prefix) {
  TensorMap part;
  for (auto at = all.begin(); at != all.end();) {
    if (at->first.starts_with(prefix)) {
      part[at->first.substr(prefix.size())] = at->second;
      at = all.erase(at);
    } else {
      ++at;
    }
  }
  return part;
}

std::vector<int64_t> shuffled(std::vector<int64_t> items, uint64_t seed, uint64_t stream) {
  const Philox rng{seed, stream};
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[rng.below(i, i)]);
  return items;
}

std::vector<int64_t> part_of(const std::vector<int64_t>& items, int64_t begin, int64_t end) {
  return {items.begin() + begin, items.begin() + std::min<int64_t>(end, int64_t(items.size()))};
}

Trainer::Trainer(std::vector<std::pair<std::string, Module*>> modules, std::vector<int64_t> rows,
                 const TrainSettings& settings, const AdamOptions& adam, std::string data)
    : modules_(std::move(modules)),
      rows_(std::move(rows)),
      settings_(settings),
      data_(std::move(data)),
      optimizer_(prefixed(modules_, false), adam) {
  settings.check_valid();
  check(int64_t(rows_.size()) >= settings.batch, "there are ", rows_.size(),
        " training images, fewer than one batch of ", settings.batch);
  batches_ = int64_t(rows_.size()) / settings.batch;
  order_ = shuffled(rows_, settings_.seed, 0);
  if (Team* team = current_team()) {
    team->set_shares_batch_norm(!settings.batch_norm_per_rank);
    team->meet(current_backend());
    check(settings.batch >= 2 * team->size(), "a batch of ", settings.batch, " is too small for ",
          team->size(), " ranks: each takes at least 2 images of it (--batch)");
    check(team->agree(run_name()),
          "the ranks do not train the same: they disagree about the data or the settings (this one has ",
          told_run(run_name()), "); start all of them with the same call on the same files");
  }
}

std::vector<int64_t> Trainer::rows_of_batch(int64_t i) const {
  const std::vector<int64_t> batch = part_of(order_, i * settings_.batch, (i + 1) * settings_.batch);
  const Team* team = current_team();
  if (!team) return batch;
  const auto [begin, end] = team->share(settings_.batch);
  return part_of(batch, begin, end);
}

void Trainer::train_mode(bool on) {
  for (auto& [name, module] : modules_) module->train(on);
}

double Trainer::step() {
  check(!done(), "training is complete");
  const auto start = std::chrono::steady_clock::now();
  train_mode(true);
  Tape tape;
  Tensor value;
  Team* team = current_team();
  {
    TapeScope scope(tape);
    const std::vector<int64_t> rows = rows_of_batch(next_batch_);
    value = loss(rows);
    if (team) value = affine(value, double(rows.size()) / double(settings_.batch), 0);
  }
  const double number = team ? team->sum(double(value.item())) : double(value.item());
  check(std::isfinite(number), "training diverged: the loss is ", number, " in epoch ", epoch_ + 1,
        ", after ", steps_done(), " steps; use a smaller learning rate (--lr of advface-train)");
  const OneCycle schedule{.peak = settings_.learning_rate, .steps = batches_ * settings_.epochs};
  std::vector<Tensor> gradients = backward(tape, value, values(optimizer_.parameters()));
  // Of each rank's share, each weighed by how much of the batch it is: their sum is that of the batch.
  if (team) team->sum(gradients);
  optimizer_.step(gradients, schedule.at(steps_done()));
  loss_sum_ += number;
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (++next_batch_ == batches_) {
    train_mode(false);
    check_weights();
    const auto [validation_loss, score] = validate();
    check(std::isfinite(validation_loss), "training diverged: the validation loss is ", validation_loss,
          " in epoch ", epoch_ + 1, "; use a smaller learning rate (--lr of advface-train)");
    history_.push_back({++epoch_, loss_sum_ / double(batches_), validation_loss, score, seconds_});
    add_to_average();
    loss_sum_ = seconds_ = 0;
    next_batch_ = 0;
    order_ = shuffled(rows_, settings_.seed, uint64_t(epoch_));
  }
  return number;
}

void Trainer::add_to_average() {
  if (!averages(epoch_)) return;
  const std::vector<Named>& parameters = optimizer_.parameters();
  sums_.resize(parameters.size());
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::vector<float> now = parameters[i].tensor->to_vector<float>();
    sums_[i].resize(now.size());
    for (size_t k = 0; k < now.size(); ++k) sums_[i][k] += double(now[k]);
  }
}

EpochResult Trainer::finish() {
  check(done(), "training is not complete");
  EpochResult result = history_.back();
  if (settings_.average == 1) return result;
  const std::vector<Named>& parameters = optimizer_.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    std::vector<float> mean;
    for (const double sum : sums_[i]) mean.push_back(float(sum / settings_.average));
    *parameters[i].tensor = Tensor::from(mean, parameters[i].tensor->shape());
  }
  std::vector<Module*> all;
  for (auto& [name, module] : modules_) all.push_back(module);
  recalibrate_batch_norm(all, batches_, [this](int64_t i) { pass(rows_of_batch(i)); });
  check_weights();
  std::tie(result.validation_loss, result.validation_score) = validate();
  return result;
}

TensorMap Trainer::average_state() const {
  TensorMap state;
  for (size_t i = 0; i < sums_.size(); ++i)
    state[kAverage + optimizer_.parameters()[i].name] = Tensor::from(sums_[i], {int64_t(sums_[i].size())});
  return state;
}

void Trainer::load_average(const TensorMap& sums, const std::string& path) {
  sums_.clear();
  if (!averages(epoch_)) return;
  for (const Named& p : optimizer_.parameters()) {
    const auto sum = sums.find(p.name);
    check(sum != sums.end() && sum->second.dtype() == DType::f64 &&
              sum->second.shape() == Shape{p.tensor->numel()},
          path, ": the checkpoint has no sum of the weights ", p.name, "; it is damaged");
    sums_.push_back(sum->second.to_vector<double>());
  }
}

std::string Trainer::run_but_epochs() const {
  std::ostringstream text;
  text << "batch " << settings_.batch << ", lr " << settings_.learning_rate << ", seed " << settings_.seed
       << ", data " << data_ << ", rows " << hex(fnv1a(std::as_bytes(std::span(rows_))));
  if (settings_.batch_norm_per_rank) text << ", batch norm per rank";
  return text.str();
}

std::string Trainer::run_name() const {
  std::ostringstream text;
  text << "epochs " << settings_.epochs << ", " << run_but_epochs();
  if (settings_.average > 1) text << ", average " << settings_.average;
  return text.str();
}

void Trainer::check_weights() const {
  for (const Named& n : prefixed(modules_, true))
    check_finite(n.name, *n.tensor, "epoch " + std::to_string(epoch_ + 1) + " of the training");
}

void Trainer::save_checkpoint(const std::string& path) {
  check_weights();
  TensorMap all = to_map(prefixed(modules_, true));
  for (const auto& [name, tensor] : optimizer_.state()) all[kOptimizer + name] = tensor;
  all.merge(average_state());
  for (const auto& [name, tensor] : more_state()) all[kMore + name] = tensor;
  std::vector<double> past;
  for (const EpochResult& e : history_)
    past.insert(past.end(), {e.train_loss, e.validation_loss, e.validation_score, e.seconds});
  all["history"] = Tensor::from(past, {int64_t(history_.size()), 4});
  all["position"] =
      Tensor::from(std::vector<double>{double(epoch_), double(next_batch_), loss_sum_, seconds_}, {4});
  save_safetensors(path, all, {{"format", "advface-checkpoint-1"}, {"run", run_name()}});
}

void Trainer::load_checkpoint(const std::string& path) {
  TensorFile file = load_safetensors(path);
  const auto format = file.metadata.find("format");
  check(format != file.metadata.end() && format->second == "advface-checkpoint-1", path,
        ": not a checkpoint");
  check(metadata_text(file.metadata, "run", path) == run_name(), path, ": the checkpoint is of another run (",
        told_run(file.metadata["run"]), "), this one has ", told_run(run_name()),
        "; use the same settings and data, or no --resume");
  Tensor past = file.tensors["history"], position = file.tensors["position"];
  check(past.defined() && past.dtype() == DType::f64 && past.shape().rank() == 2 && past.dim(1) == 4 &&
            position.defined() && position.dtype() == DType::f64 && position.shape() == Shape{4},
        path, ": the checkpoint has no position; it is damaged");
  past = past.on_host();
  const std::vector<double> at = position.to_vector<double>();
  check(at[0] >= 0 && at[0] <= settings_.epochs && at[1] >= 0 && at[1] < double(batches_) &&
            past.dim(0) == int64_t(at[0]),
        path, ": the checkpoint's position ", at[0], ", ", at[1], " lies outside this run");
  for (const char* own : {"history", "position"}) file.tensors.erase(own);
  const TensorMap optimizer = taken_out(file.tensors, kOptimizer), sums = taken_out(file.tensors, kAverage);
  TensorMap more = taken_out(file.tensors, kMore);
  epoch_ = int(at[0]);
  load_average(sums, path);
  load_named(prefixed(modules_, true), file.tensors, path);
  optimizer_.load_state(optimizer, path);
  load_more(std::move(more), path);
  next_batch_ = int64_t(at[1]);
  loss_sum_ = at[2];
  seconds_ = at[3];
  history_.clear();
  for (int64_t e = 0; e < past.dim(0); ++e) {
    const double* row = past.data<double>() + e * 4;
    history_.push_back({int(e) + 1, row[0], row[1], row[2], row[3]});
  }
  order_ = shuffled(rows_, settings_.seed, uint64_t(epoch_));
}

}  // namespace advf
