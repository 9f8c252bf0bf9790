/* Mel energies of LANES frames at once. Included once for each number of LANES, with TARGET, the
 * processor it is for, and OF(name), the name for that.
 */

typedef double OF(lanes) __attribute__((vector_size(LANES * sizeof(double))));

/* Windowed frames side by side: the lanes of a sample are the frames. */
TARGET static void OF(load)(OF(lanes) *samples, const Tables *tables, const float *wave,
                            Py_ssize_t hop, Py_ssize_t frames)
{
    const float *frame[LANES];
    for (Py_ssize_t lane = 0; lane < LANES; lane++)
        frame[lane] = wave + (lane < frames ? lane : frames - 1) * hop;
#if LANES == 4
    /* Four samples of four frames, rows for columns. */
    for (Py_ssize_t n = 0; n < tables->samples; n += 4) {
        four a = loaded(frame[0] + n), b = loaded(frame[1] + n);
        four c = loaded(frame[2] + n), d = loaded(frame[3] + n);
        four ab = SHUFFLED(a, b, 0, 4, 1, 5), cd = SHUFFLED(c, d, 0, 4, 1, 5);
        const double *weight = tables->window + n;
        samples[n] = WIDE(SHUFFLED(ab, cd, 0, 1, 4, 5), OF(lanes)) * weight[0];
        samples[n + 1] = WIDE(SHUFFLED(ab, cd, 2, 3, 6, 7), OF(lanes)) * weight[1];
        ab = SHUFFLED(a, b, 2, 6, 3, 7), cd = SHUFFLED(c, d, 2, 6, 3, 7);
        samples[n + 2] = WIDE(SHUFFLED(ab, cd, 0, 1, 4, 5), OF(lanes)) * weight[2];
        samples[n + 3] = WIDE(SHUFFLED(ab, cd, 2, 3, 6, 7), OF(lanes)) * weight[3];
    }
#else
    for (Py_ssize_t n = 0; n < tables->samples; n++)
        for (Py_ssize_t lane = 0; lane < LANES; lane++)
            samples[n][lane] = frame[lane][n] * tables->window[n];
#endif
}

/* Multiply a complex number by a twiddle factor. */
TARGET static inline void OF(turn)(OF(lanes) *re, OF(lanes) *im, const double *twiddle)
{
    OF(lanes) real = *re * twiddle[0] - *im * twiddle[1];
    *im = *re * twiddle[1] + *im * twiddle[0];
    *re = real;
}

/* What a transform of `size` real numbers leaves to do: their first half, of `size / 2`, for the
 * even frequencies, and complex numbers, real parts in the third quarter and imaginary ones in the
 * fourth, whose transform is at the frequencies 1, 5, 9 ...; the others are their conjugates. */
TARGET static const double *OF(halve)(OF(lanes) *x, Py_ssize_t size, const double *twiddles)
{
    Py_ssize_t quarter = size / 4;
    for (Py_ssize_t n = 0; n < quarter; n++, twiddles += 2) {
        OF(lanes) a = x[n], b = x[n + quarter];
        OF(lanes) c = x[n + 2 * quarter], d = x[n + 3 * quarter];
        OF(lanes) re = a - c, im = d - b;
        OF(turn)(&re, &im, twiddles);
        x[n] = a + c;
        x[n + quarter] = b + d;
        x[n + 2 * quarter] = re;
        x[n + 3 * quarter] = im;
    }
    return twiddles;
}

/* Fourier transform of complex numbers in place, radix 4, decimation in frequency (Gentleman and
 * Sande 1966); a last round of radix 2 where the length asks for it. Results lie in the order of
 * reversed digits. */
TARGET static const double *OF(transform)(OF(lanes) *re, OF(lanes) *im, Py_ssize_t points,
                                         const double *twiddles)
{
    Py_ssize_t span = points;
    for (; span >= 4; span /= 4) {
        Py_ssize_t quarter = span / 4;
        for (Py_ssize_t first = 0; first < quarter; first++, twiddles += 6)
            for (Py_ssize_t a = first; a < points; a += span) {
                Py_ssize_t b = a + quarter, c = b + quarter, d = c + quarter;
                OF(lanes) sum_re = re[a] + re[c], sum_im = im[a] + im[c];
                OF(lanes) gap_re = re[a] - re[c], gap_im = im[a] - im[c];
                OF(lanes) sum_bd_re = re[b] + re[d], sum_bd_im = im[b] + im[d];
                OF(lanes) gap_bd_re = re[b] - re[d], gap_bd_im = im[b] - im[d];
                re[a] = sum_re + sum_bd_re;
                im[a] = sum_im + sum_bd_im;
                OF(lanes) b_re = gap_re + gap_bd_im, b_im = gap_im - gap_bd_re;
                OF(lanes) c_re = sum_re - sum_bd_re, c_im = sum_im - sum_bd_im;
                OF(lanes) d_re = gap_re - gap_bd_im, d_im = gap_im + gap_bd_re;
                /* The first ones of a round are not turned. */
                if (first) {
                    OF(turn)(&b_re, &b_im, twiddles);
                    OF(turn)(&c_re, &c_im, twiddles + 2);
                    OF(turn)(&d_re, &d_im, twiddles + 4);
                }
                re[b] = b_re;
                im[b] = b_im;
                re[c] = c_re;
                im[c] = c_im;
                re[d] = d_re;
                im[d] = d_im;
            }
    }
    for (Py_ssize_t a = 0; span == 2 && a < points; a += 2) {
        OF(lanes) first_re = re[a], first_im = im[a];
        re[a] = first_re + re[a + 1];
        im[a] = first_im + im[a + 1];
        re[a + 1] = first_re - re[a + 1];
        im[a + 1] = first_im - im[a + 1];
    }
    return twiddles;
}

/* Energies by frequency of real numbers, which are used up. The even frequencies are the transform
 * of half as many numbers, and so on (Sorensen et al. 1987): no frequency is ever mixed with its
 * mirror image, whose energy may be a million times as large. */
TARGET static void OF(spectrum)(OF(lanes) *x, const Tables *tables, OF(lanes) *energy)
{
    const double *twiddles = tables->twiddles;
    const int32_t *bin = tables->bins;
    for (Py_ssize_t size = tables->samples; size >= 4; size /= 2) {
        Py_ssize_t points = size / 4;
        OF(lanes) *re = x + 2 * points, *im = re + points;
        twiddles = OF(halve)(x, size, twiddles);
        twiddles = OF(transform)(re, im, points, twiddles);
        for (Py_ssize_t k = 0; k < points; k++)
            energy[*bin++] = re[k] * re[k] + im[k] * im[k];
    }
    OF(lanes) lowest = x[0] + x[1], highest = x[0] - x[1];
    energy[0] = lowest * lowest;
    energy[tables->samples / 2] = highest * highest;
}

/* The sums over the bins of each band: row `band` of `out` begins `row` numbers further on. */
TARGET static void OF(weigh)(const OF(lanes) *energy, const Tables *tables, float *out,
                             Py_ssize_t row, Py_ssize_t frames)
{
    const float *weights = tables->weights;
    for (Py_ssize_t band = 0; band < tables->band_count; band++, out += row) {
        OF(lanes) sum = {0}, other = {0};
        const OF(lanes) *from = energy + tables->bands[2 * band];
        const OF(lanes) *stop = from + tables->bands[2 * band + 1];
        for (; stop - from >= 2; from += 2, weights += 2) {
            sum += from[0] * weights[0];
            other += from[1] * weights[1];
        }
        if (from < stop)
            sum += *from * *weights++;
        sum += other;
        for (Py_ssize_t lane = 0; lane < frames; lane++)
            out[lane] = (float)sum[lane];
    }
}

/* The first `frames` of a wave: `out` is (bands, frames). `scratch` is aligned to its lanes. */
TARGET static void OF(mel_energies)(const Tables *tables, const float *wave, Py_ssize_t hop,
                                    Py_ssize_t frames, void *scratch, float *out)
{
    OF(lanes) *samples = scratch, *energy = samples + tables->samples;
    for (Py_ssize_t first = 0; first < frames; first += LANES) {
        Py_ssize_t count = frames - first < LANES ? frames - first : LANES;
        OF(load)(samples, tables, wave + first * hop, hop, count);
        OF(spectrum)(samples, tables, energy);
        OF(weigh)(energy, tables, out + first, frames, count);
    }
}

#undef LANES
#undef TARGET
#undef OF
