-- How many subjects are at risk in each window, for each length of attribution: those analysed, seen by the window,
-- whose attribution ends after the window begins. `matured`: those of them whose attribution has ended by its end.
--
-- A state counts in a run of consecutive windows, so it is noted only where the run begins and where it is over, and
-- a running sum gives the numbers between: the cost does not depend on how many windows a subject is at risk in.
with
lengths as (
  select distinct experiment, attribution_window from analysis.metric_rules
),
-- The ends of windows lie `slide` apart, so `tumble` by the slide finds the first end after an instant.
runs as (
  select states.experiment, states.variant, states.segment, states.segment_value, states.window_name,
         lengths.attribution_window,
         tumble(known_after, slide, "offset" + size)['end'] as opens_at,
         tumble(greatest(known_after, first_time + lengths.attribution_window - 1), slide, "offset" + size)['end']
           as matures_at,
         tumble(least(known_until, first_time + lengths.attribution_window + size - 1), slide, "offset" + size)['end']
           as closes_at
  from analysis.segmented_states states
  join lengths on lengths.experiment = states.experiment
  join analysis.all_windows windows on windows.window_name = states.window_name
  where states.analysed
),
noted as (
  select experiment, variant, segment, segment_value, window_name, attribution_window,
         unnest([named_struct('window_end', opens_at, 'units', 1, 'matured', 0),
                 named_struct('window_end', least(matures_at, closes_at), 'units', 0, 'matured', 1),
                 named_struct('window_end', closes_at, 'units', -1, 'matured', -1)]) as change
  from runs
  where opens_at < closes_at
),
changes as (
  select experiment, variant, segment, segment_value, window_name, attribution_window,
         change['window_end'] as window_end, sum(change['units']) as units, sum(change['matured']) as matured
  from noted
  group by 1, 2, 3, 4, 5, 6, 7
),
sums as (
  select experiment, variant, segment, segment_value, window_name, attribution_window, window_end,
         sum(units) over so_far as units,
         sum(matured) over so_far as matured,
         lead(window_end) over so_far as next_end
  from changes
  window so_far as (
    partition by experiment, variant, segment, segment_value, window_name, attribution_window order by window_end)
),
spread as (
  select sums.experiment, sums.variant, sums.segment, sums.segment_value, sums.window_name, sums.attribution_window,
         sums.units, sums.matured, windows.size,
         unnest(generate_series(sums.window_end, sums.next_end - windows.slide, windows.slide)) as window_end
  from sums
  join analysis.all_windows windows on windows.window_name = sums.window_name
  where sums.units > 0
)
select experiment, variant, segment, segment_value, window_name, window_end - size as window_start, window_end,
       attribution_window, units, matured
from spread
