/* recipes/lipschitz/metrics.h - how good an explanation is, measured: figures about attribution maps (spec 05).
 *
 * A map gives every pixel of a picture an attribution; all channels of a pixel share it. Pixels are those of net.h: u8
 * images are in [0,1]. The explained class is the one that the network gives the picture; it stays the same for all
 * changed pictures. "Score" is the raw logit of that class unless settings.softmax asks for its probability. Every
 * figure is one number per sample; results are means over samples. "Better" compares methods on one network: scores
 * and distances of two networks have different units, correlations can be compared across networks.
 *
 * deletion, insertion (Petsiuk et al., RISE, 2018). The pixels are ranked by attribution, largest first, ties by place.
 *   Picture k = 0..steps has the first floor(k h w / steps) of them replaced by the baseline (insertion: all others).
 *   The area under the scores by the trapezoid rule over [0,1]: (s_0/2 + s_1 + ... + s_{steps-1} + s_steps/2) / steps.
 *   Deletion: low is good; insertion: high is good. The mean over samples is the area under the mean score.
 * mufidelity_zero, mufidelity_uniform (Bhatt et al., Evaluating and aggregating feature-based model explanations, 2020,
 *   definition 3, in the form of the authors' library). `masks` masks: every cell of a grid x grid board is dropped
 *   with probability `drop`; pixel i of a side of n lies in cell floor((2i + 1) grid / (2n)) (nearest neighbour).
 *   Dropped pixels become 0, or uniform numbers of [0,1), new ones for every mask. Spearman's correlation between how
 *   far the score falls and the sum of the dropped attributions. High is good.
 * stability_l2, stability_spearman (definition 2 of the same). `noises` pictures to which uniform noise of [0, noise)
 *   is added (one-sided, as published; not clipped). The mean Euclidean distance between their maps and the picture's;
 *   and the mean of 1 - Spearman's correlation. Low is good. Maps that are random themselves use the same draws for all
 *   these pictures (the public library draws anew).
 * complexity: kB (1000 bytes) of the map as a grey JPEG file of jpeg_quality; grey is 255 (m - min) / (max - min),
 *   rounded, and 0 for a constant map. Low is simple. The paper gives no quality; 75 is libjpeg's own default.
 * robustness_sr, robustness_reached (Hsieh et al., Evaluations and methods for explanation through robustness analysis,
 *   ICLR 2021, Robustness-S_r). The length |d| of the smallest change d, not 0 only in the ceil(r h w) pixels of
 *   largest attribution, that changes the class; mean over the shares r. Low is good. Ours is how it is looked for, so
 *   that the figure is an upper bound of the definition's: at x + d with lead m over the best other class and g the
 *   gradient of m in those pixels, d moves by -g/|g| times 1.02 m/|g|, but at least 0.002 and at most s = 0.01 sqrt(h w
 *   c), until the class turns; then the line from x to x + d is bisected 12 times. Pixels may leave [0,1]. If the class
 *   does not turn in `attack_steps` moves, or g is 0, the longest possible way counts, attack_steps s.
 *   robustness_reached: the share of r at which the class turned.
 * smoothgrad: Spearman's correlation between the map and the reference map of the same class (SmoothGrad's).
 * alignment: Spearman's correlation with a human map (Fel et al., Harmonizing the object recognition strategies of deep
 *   neural networks with humans, 2022), prepared by metrics_human.h, divided by `human_ceiling` (1: as it is; the
 *   published figures divide by 0.65753, agreement among humans).
 *
 * Spearman's correlation gives ties the mean of their ranks; where a side is constant it is 0. Sums are in f64 in the
 * order of pixels. Random numbers are counters of (seed, sample, mask): a sample's figures are a function of the
 * network, the picture and the settings, whatever is computed beside it. */
#ifndef BNF_RECIPES_LIPSCHITZ_METRICS_H
#define BNF_RECIPES_LIPSCHITZ_METRICS_H

#include <banff/base.h>
#include <stdbool.h>

typedef enum bnf_lipschitz_metric {
    BNF_METRIC_DELETION = 0,
    BNF_METRIC_INSERTION,
    BNF_METRIC_MUFIDELITY_ZERO,
    BNF_METRIC_MUFIDELITY_UNIFORM,
    BNF_METRIC_STABILITY_L2,
    BNF_METRIC_STABILITY_SPEARMAN,
    BNF_METRIC_COMPLEXITY,
    BNF_METRIC_ROBUSTNESS,
    BNF_METRIC_ROBUSTNESS_REACHED,
    BNF_METRIC_SMOOTHGRAD,
    BNF_METRIC_ALIGNMENT,
    BNF_METRIC_COUNT
} bnf_lipschitz_metric;

extern const char *const bnf_lipschitz_metric_names[BNF_METRIC_COUNT + 1]; /* NULL-terminated */

/* What takes the place of pixels in deletion and insertion: 0; uniform numbers of [0,1), one per pixel and channel, the
 * same for all pictures of a sample; the picture's mean of each channel. */
typedef enum bnf_lipschitz_baseline {
    BNF_LIPSCHITZ_BASELINE_ZERO = 0,
    BNF_LIPSCHITZ_BASELINE_UNIFORM,
    BNF_LIPSCHITZ_BASELINE_MEAN
} bnf_lipschitz_baseline;

#define BNF_LIPSCHITZ_MAX_SHARES 16

typedef struct bnf_lipschitz_metric_settings {
    uint64_t seed;
    int64_t steps;                          /* deletion, insertion: 10 */
    bnf_lipschitz_baseline baseline;        /* ...: zero */
    int64_t masks, grid;                    /* mufidelity: 200, 9 */
    double drop;                            /* ...: 0.2 */
    int64_t noises;                         /* stability: 20 */
    double noise;                           /* ...: 0.1 */
    int jpeg_quality;                       /* complexity: 75 */
    int64_t attack_steps;                   /* robustness: 50 */
    int shares;                             /* robustness: 5, of */
    double share[BNF_LIPSCHITZ_MAX_SHARES]; /* 0.1, 0.2, 0.3, 0.4, 0.5 */
    double human_ceiling;                   /* alignment: 1 */
    bool wanted[BNF_METRIC_COUNT];          /* all; the two of stability and of robustness come together */
} bnf_lipschitz_metric_settings;

bnf_lipschitz_metric_settings bnf_lipschitz_metric_defaults(uint64_t seed);

/* What is measured: a network and a method of explanation. The functions see rows of h w c pixels with one class and
 * one sample number each, and give each row a result that does not depend on the other rows. Any but map may be NULL if
 * no metric that needs it is wanted. */
typedef struct bnf_lipschitz_subject {
    void *self;
    int64_t h, w, c;
    int64_t batch; /* rows at once, at least 1 */
    int threads;   /* for what is computed between the functions */
    /* pixels[n,h,w,c], classes[n] -> score[n] */
    bnf_status (*score)(void *self, const float *pixels, const int32_t *classes, int64_t n, double *score);
    /* pixels[n,h,w,c], classes[n], samples[n] -> map[n,h,w]: the method's attributions */
    bnf_status (*map)(void *self, const float *pixels, const int32_t *classes, const int64_t *samples, int64_t n,
                      float *map);
    /* pixels, classes -> lead[n]: score of the class minus the best other one's (logits; negative: another class);
     * gradient[n,h,w,c] of it */
    bnf_status (*lead)(void *self, const float *pixels, const int32_t *classes, int64_t n, double *lead,
                       float *gradient);
} bnf_lipschitz_subject;

/* n samples: pixels[n,h,w,c], classes[n], their numbers in the data set; for smoothgrad reference[n,h,w] (NULL: none);
 * and for alignment human[n] of h w values or NULL each (human NULL: none). [out] value[n, BNF_METRIC_COUNT]; NaN: not
 * asked for, no reference or no human map. Not collective. Errors: those of the functions; BNF_ERR_MEMORY. */
bnf_status bnf_lipschitz_measure(const bnf_lipschitz_subject *subject, const bnf_lipschitz_metric_settings *settings,
                                 int64_t n, const float *pixels, const int32_t *classes, const int64_t *samples,
                                 const float *reference, const float *const *human, double *value);

#endif
