-- The final rows of `assignment_counts`, and those of `cumulative` as at the end of the stream, from the events alone.
--
-- A subject counts in the windows that its first exposure falls into, each of which judges by the exposures that it
-- sees: in `subjects` under its variant, in `crossovers` under the variant of its first exposure.
with
placed as (
  select states.*, unnest(hop(states.first_time, windows.size, windows.slide, windows."offset")) as bounds
  from analysis.segmented_states states
  join analysis.all_windows windows on windows.window_name = states.window_name
),
judged as (
  select experiment, variant, first_variant, segment, segment_value, window_name,
         bounds['start'] as window_start, bounds['end'] as window_end,
         sum(cast(analysed as bigint)) as subjects,
         sum(cast(crossover as bigint)) as crossovers
  from placed
  where bounds['end'] > known_after and bounds['end'] <= known_until
  group by 1, 2, 3, 4, 5, 6, 7, 8
),
tallies as (
  select experiment, segment, segment_value, window_name, window_start, window_end,
         unnest([named_struct('variant', variant, 'subjects', subjects, 'crossovers', 0),
                 named_struct('variant', first_variant, 'subjects', 0, 'crossovers', crossovers)]) as tally
  from judged
),
counts as (
  select experiment, tally['variant'] as variant, segment, segment_value, window_name, window_start, window_end,
         sum(tally['subjects']) as subjects, sum(tally['crossovers']) as crossovers
  from tallies
  group by 1, 2, 3, 4, 5, 6, 7
)
select experiment, variant, segment, segment_value, window_name,
       case when window_name <> 'cumulative'
            then arrow_cast(window_start, 'Timestamp(Microsecond, Some("UTC"))') end as window_start,
       case when window_name <> 'cumulative'
            then arrow_cast(window_end, 'Timestamp(Microsecond, Some("UTC"))') end as window_end,
       subjects, crossovers,
       window_name <> 'cumulative' as is_final
from counts
where subjects + crossovers > 0
